"""What people do most, in Chromium and in Firefox.

Firefox by WebDriver BiDi, which Playwright drives in Debian's own builds too.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from testkit import samples
from testkit.page import OpenPage, a_file, a_transfer, choose
from testkit.programs import CHROMIUM, FIREFOX, needs_chromium, needs_firefox
from testkit.service import Service, listed_names, upload

pytestmark = [pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="session",
    params=[
        pytest.param("chromium", marks=needs_chromium),
        pytest.param("firefox", marks=needs_firefox),
    ],
)
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = (
            playwright.chromium.launch(executable_path=CHROMIUM)
            if request.param == "chromium"
            else playwright.firefox.launch(channel="moz-firefox", executable_path=FIREFOX)
        )
        async with await launched as browser:
            yield browser


async def test_an_image_is_uploaded_looked_at_and_deleted(page: Page, service: Service) -> None:
    await choose(page, a_file("holiday.jpg", JPEG))
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    tile = page.locator("#gallery a")
    await expect(tile).to_have_count(1)
    await tile.click()
    viewer = page.get_by_role("dialog", name="holiday.jpg")
    await expect(viewer.locator("img").first).to_have_js_property("complete", value=True)
    await viewer.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    await expect(tile).to_have_count(0)
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert listed_names(service) == []


async def test_what_is_no_image_is_refused(page: Page, service: Service) -> None:
    await choose(page, a_file("notes.txt", b"no image"))
    await expect(page.get_by_text("Invalid file type").first).to_be_visible()
    assert listed_names(service) == []


async def test_a_dropped_file_is_uploaded(page: Page, service: Service) -> None:
    await page.wait_for_load_state("networkidle")
    transfer = await a_transfer(page, "dropped.jpg", JPEG)
    await page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    await expect(page.locator("#gallery a")).to_have_count(1)
    assert listed_names(service) == ["dropped.jpg"]


async def test_the_address_names_the_open_image(service: Service, open_page: OpenPage) -> None:
    older, newer = upload(service, JPEG, "older.jpg"), upload(service, JPEG, "newer.jpg")
    page = await open_page(f"{service.url}/#{older['id']}")
    await expect(page.get_by_role("dialog", name="older.jpg")).to_be_visible()
    await expect(page.locator("#gallery img")).to_have_count(2)  # it is known what is beside it
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("dialog", name="newer.jpg")).to_be_visible()
    await expect(page).to_have_url(f"{service.url}/#{newer['id']}")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page).to_have_url(f"{service.url}/")
