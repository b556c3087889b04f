"""Private images on the page: how they are uploaded, marked, shared, and made public."""

import re

import httpx
import pytest
from playwright.async_api import Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage, a_file, choose, shown_address
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
CLIPBOARD = ["clipboard-read", "clipboard-write"]


async def choose_private(page: Page, name: str) -> None:
    """Upload a file as private, by the words that a person reads."""
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_role("checkbox", name="Private").check()
    await page.get_by_role("button", name="Cancel").click()
    await choose(page, a_file(name, JPEG))  # the choice holds


def status_of(url: str) -> int:
    return httpx.get(url, timeout=TIMEOUT).status_code


async def test_an_image_is_uploaded_as_private_and_marked_and_shown(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url)
    await choose_private(page, "secret.jpg")
    await expect(page.get_by_text("Upload successful, private")).to_be_visible()
    tile = page.get_by_role("link", name="Private secret.jpg")
    await expect(tile).to_be_visible()
    await page.reload()
    await expect(tile).to_be_visible()
    assert re.fullmatch("file[?].*", await shown_address(tile.locator("img")))
    image_id = (await tile.get_attribute("href") or "")[1:]
    assert status_of(f"{service.url}{IMAGES}/{image_id}/file") == 404
    await tile.click()
    viewer = page.get_by_role("dialog", name="Private secret.jpg")
    await expect(viewer.locator(".image img")).not_to_have_js_property("naturalWidth", 0)
    async with page.expect_download() as downloading:
        await viewer.get_by_role("link", name="Download").click()
    assert (await (await downloading.value).path()).read_bytes() == JPEG


async def test_a_link_to_a_private_image_is_copied_for_a_time_and_ends_when_it_is_made_public(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url, permissions=CLIPBOARD)
    await choose_private(page, "secret.jpg")
    await page.get_by_role("link", name="Private secret.jpg").click()
    await page.get_by_role("button", name="Copy").click()
    names = await page.get_by_role("menuitem").all_inner_texts()
    assert names == ["Link for 1 hour", "Link for 1 day", "Link for 7 days", "Link for 30 days"]
    await page.get_by_role("menuitem", name="Link for 1 day").click()
    await expect(page.get_by_text(re.compile("^Link until .* copied$"))).to_be_visible()
    link: str = await page.evaluate("navigator.clipboard.readText()")
    assert status_of(link) == 200
    viewer = page.get_by_role("dialog", name="secret.jpg")
    await viewer.get_by_role("button", name="Make public").click()
    await expect(
        viewer.get_by_text("Everybody who has the link sees it.", exact=True)
    ).to_be_visible()
    await expect(viewer.get_by_role("img", name="Private")).to_have_count(0)
    assert (status_of(link.partition("?")[0]), status_of(link)) == (200, 200)
    await viewer.get_by_role("button", name="Make private").click()
    await expect(viewer.get_by_role("img", name="Private")).to_be_visible()
    assert (status_of(link.partition("?")[0]), status_of(link)) == (404, 404)


async def test_a_selection_is_made_private_and_public_and_its_links_copied(
    service: Service, open_page: OpenPage
) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        upload(service, JPEG, name)
    page = await open_page(service.url, permissions=CLIPBOARD)
    locks = page.locator("#gallery").get_by_role("img", name="Private")
    for name in ("a.jpg", "b.jpg"):
        await page.get_by_label(f"Select {name}").check()
    await page.get_by_role("button", name="Make private").click()
    await expect(
        page.get_by_text("2 pictures made private: links to them have ended.")
    ).to_be_visible()
    await expect(locks).to_have_count(2)
    await page.get_by_role("button", name="Select all 3").click()
    await page.get_by_role("button", name="Copy links").click()
    await page.get_by_role("menuitem", name="Link for 1 hour").click()
    await expect(page.get_by_text(re.compile("^3 links until .* copied$"))).to_be_visible()
    links = (await page.evaluate("navigator.clipboard.readText()")).split("\n")
    assert [status_of(link) for link in links] == [200] * 3
    await page.get_by_label("Select c.jpg").uncheck()
    await page.get_by_role("button", name="Make public").click()
    await expect(locks).to_have_count(0)
    assert all(status_of(link.partition("?")[0]) == 200 for link in links)


async def test_a_drop_says_beforehand_that_it_will_be_private(page: Page) -> None:
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_role("checkbox", name="Private").check()
    await page.get_by_role("button", name="Cancel").click()
    await page.evaluate("document.documentElement.classList.add('dropping')")
    shown = "getComputedStyle(document.documentElement, '::after').content"
    assert "as private" in await page.evaluate(shown)
