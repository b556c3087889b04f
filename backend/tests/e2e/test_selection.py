"""Several images at once: select, copy links, delete."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Locator, Page, Route, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage, all_loaded
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, delete, listed_names, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
NAMES = [f"{number}.jpg" for number in range(6, 0, -1)]
"""As they are shown: newest first."""


@pytest.fixture
def images(service: Service) -> list[dict[str, str]]:
    """Return the images of NAMES."""
    return [upload(service, JPEG, name) for name in reversed(NAMES)][::-1]


def box(page: Page, name: str) -> Locator:
    return page.get_by_label(f"Select {name}", exact=True)


def tile(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name)


async def open_ready(open_page: OpenPage, service: Service, **options: Any) -> Page:
    """Open the page, and wait until images can be selected."""
    page = await open_page(service.url, **options)
    await all_loaded(page)
    return page


async def selects(page: Page, *names: str) -> None:
    """Wait until these images are selected and no others."""
    text = f"{len(names)} selected" if names else ""
    await expect(page.locator(".selection p")).to_have_text(text)
    for name in NAMES:
        await expect(box(page, name)).to_be_checked(checked=name in names)


@pytest.mark.usefixtures("images")
async def test_boxes_select_and_shift_extends_to_a_range(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_ready(open_page, service)
    await box(page, "5.jpg").click()
    await selects(page, "5.jpg")
    await box(page, "3.jpg").click(modifiers=["Shift"])
    await selects(page, "5.jpg", "4.jpg", "3.jpg")
    await box(page, "6.jpg").click(modifiers=["Shift"])
    await selects(page, "6.jpg", "5.jpg")
    await box(page, "1.jpg").click()
    await selects(page, "6.jpg", "5.jpg", "1.jpg")
    await page.keyboard.press("Escape")
    await selects(page)
    await expect(page.get_by_role("button", name="Upload")).to_be_visible()


@pytest.mark.usefixtures("images")
async def test_the_keyboard_selects_one_and_several(service: Service, open_page: OpenPage) -> None:
    page = await open_ready(open_page, service)
    await tile(page, "6.jpg").focus()
    await page.keyboard.press("x")
    await selects(page, "6.jpg")
    await page.keyboard.press("ArrowRight")
    await expect(tile(page, "5.jpg")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Shift+ArrowRight")
    await selects(page, "6.jpg", "4.jpg", "3.jpg")
    await page.keyboard.press("Shift+ArrowRight")
    await selects(page, "6.jpg", "4.jpg", "3.jpg", "2.jpg")
    await page.keyboard.press("Shift+ArrowLeft")
    await selects(page, "6.jpg", "4.jpg", "3.jpg")
    await page.keyboard.press(" ")
    await selects(page, "6.jpg", "4.jpg")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="3.jpg")).to_be_visible()


@pytest.mark.usefixtures("images")
async def test_all_that_are_loaded_can_be_selected_and_let_go(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_ready(open_page, service)
    await box(page, "5.jpg").click()
    await page.get_by_role("button", name="Select all 6").click()
    await selects(page, *NAMES)
    await page.get_by_role("button", name="Clear selection").click()
    await selects(page)
    await expect(page.locator("#gallery a:focus")).to_have_count(1)


async def test_links_of_several_are_copied_each_on_a_line(
    service: Service, open_page: OpenPage, images: list[dict[str, str]]
) -> None:
    page = await open_ready(open_page, service, permissions=["clipboard-read", "clipboard-write"])
    await box(page, "6.jpg").click()
    await box(page, "4.jpg").click()
    urls = [images[0]["url"], images[2]["url"]]
    for name, text in {
        "Link": "\n".join(urls),
        "Markdown": f"![6.jpg]({urls[0]})\n![4.jpg]({urls[1]})",
    }.items():
        await page.get_by_role("button", name="Copy links").click()
        await page.get_by_role("menuitem", name=name, exact=True).click()
        await expect(page.get_by_text(f"{name} of 2 pictures copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == text
    await selects(page, "6.jpg", "4.jpg")


@pytest.mark.usefixtures("images")
async def test_several_are_deleted_at_once_after_a_confirmation(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_ready(open_page, service)
    await box(page, "5.jpg").click()
    await box(page, "3.jpg").click(modifiers=["Shift"])
    await page.get_by_role("button", name="Delete").click()
    question = page.get_by_role("dialog", name="Delete 3 pictures?")
    await question.get_by_role("button", name="Cancel").click()
    await selects(page, "5.jpg", "4.jpg", "3.jpg")
    await page.get_by_role("button", name="Delete").click()
    await question.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("3 pictures removed")).to_be_visible()
    await expect(page.locator("#gallery img")).to_have_count(3)
    await expect(tile(page, "2.jpg")).to_be_focused()
    assert listed_names(service) == ["6.jpg", "2.jpg", "1.jpg"]


async def test_what_somebody_else_has_deleted_is_no_failure(
    service: Service, open_page: OpenPage, images: list[dict[str, str]]
) -> None:
    page = await open_ready(open_page, service)
    await box(page, "6.jpg").click()
    await page.get_by_role("button", name="Select all 6").click()
    await page.get_by_role("button", name="Delete").click()
    delete(service, images[1])
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("No pictures yet")).to_be_visible()
    assert listed_names(service) == []


@pytest.mark.usefixtures("images")
async def test_a_deletion_that_fails_says_so_and_keeps_the_selection(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_ready(open_page, service)
    await page.route(f"**{IMAGES}/batch-delete", lambda route: route.abort())
    await box(page, "6.jpg").click()
    await box(page, "5.jpg").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    sentence = "2 pictures could not be deleted and are still selected. There is no connection"
    await expect(page.get_by_text(sentence)).to_be_visible()
    await selects(page, "6.jpg", "5.jpg")
    assert listed_names(service) == NAMES


async def test_more_than_a_request_takes_are_deleted_with_progress(
    service: Service, open_page: OpenPage
) -> None:
    for number in range(120):
        upload(service, samples.jpeg(), f"{number}.jpg")
    page = await open_ready(open_page, service)
    sizes: list[int] = []
    is_seen = asyncio.Event()

    async def hold(route: Route) -> None:
        sizes.append(len(json.loads(route.request.post_data or "")["ids"]))
        if len(sizes) == 2:
            await is_seen.wait()
        await route.continue_()

    await page.route(f"**{IMAGES}/batch-delete", hold)
    async with asyncio.timeout(TIMEOUT):
        while not await page.locator('#gallery img[alt="0.jpg"]').count():
            # Further, when more have come.
            await page.evaluate("scrollTo(0, document.body.scrollHeight)")
            await asyncio.sleep(0.02)
    await box(page, "0.jpg").click()
    await page.get_by_role("button", name="Select all 120").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("Deleting 100 of 120…")).to_be_visible()
    is_seen.set()
    await expect(page.get_by_text("120 pictures removed")).to_be_visible()
    assert sizes == [100, 20]
    assert listed_names(service) == []
