"""Stored images: browse, open, share, delete."""

import asyncio

import httpx
import pytest
from playwright.async_api import Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage, shown
from testkit.programs import needs_chromium
from testkit.service import (
    IMAGES,
    Service,
    storage_unavailable,
    upload,
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
MANY = 300


async def test_an_empty_gallery_says_how_to_upload(page: Page) -> None:
    await expect(page.locator("text=Upload")).to_be_visible()
    sentence = "Drop JPEG, PNG, GIF, WebP, AVIF or HEIC files anywhere on this page"
    await expect(page.get_by_text(sentence)).to_be_visible()
    await expect(page.get_by_role("link", name="API")).to_have_attribute("href", "docs")


async def test_images_are_shown_newest_first(service: Service, open_page: OpenPage) -> None:
    for name in ("first.jpg", "second.jpg", "third.jpg"):
        upload(service, JPEG, name)
    page = await open_page(service.url)
    await expect(page.locator("img")).to_have_count(3)
    assert await shown(page) == ["third.jpg", "second.jpg", "first.jpg"]
    await expect(page.get_by_text("No pictures yet")).to_be_hidden()


async def test_a_truncated_list_is_requested_again(service: Service, open_page: OpenPage) -> None:
    upload(service, JPEG)
    page = await open_page(f"{service.url}/docs")
    cut = {"status": 200, "body": '{"items": [', "content_type": "application/json"}
    await page.route(f"**{IMAGES}?*", lambda route: route.fulfill(**cut))
    await page.goto(service.url)
    await expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    await expect(page.locator("#loading")).to_be_hidden()
    await page.unroute(f"**{IMAGES}?*")
    await expect(page.locator("#gallery img")).to_have_count(1)


async def test_images_that_failed_to_load_are_requested_again(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG)
    page = await open_page(f"{service.url}/docs")
    with storage_unavailable(service):
        await page.goto(service.url)
        await expect(page.locator("#gallery img.broken")).to_have_count(1)
    await expect(page.locator("#gallery img:not(.broken)")).to_have_count(1)
    natural = "img => img.decode().then(() => img.naturalWidth)"
    assert await page.locator("#gallery img").evaluate(natural) == 640


async def test_300_images_are_loaded_while_scrolling_also_after_being_offline(
    service: Service, open_page: OpenPage
) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=TIMEOUT) as client:
        for start in range(0, MANY, 20):
            files = [("files", (f"{n}.png", samples.png(8, 8))) for n in range(start, start + 20)]
            assert (await client.post(f"{IMAGES}/batch", files=files)).status_code == 201
    page = await open_page(service.url)
    await expect(page.locator("#gallery img").first).to_be_visible()
    assert len(await shown(page)) < 150, "not all at once"
    await page.wait_for_load_state("networkidle")  # the viewer's module is there
    await page.context.set_offline(True)
    await page.mouse.wheel(0, 100_000)
    await expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    await page.locator("#gallery img").last.click()
    await page.get_by_label("Older picture").click()
    await expect(page.get_by_role("dialog").get_by_text("There is no connection")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.context.set_offline(False)  # loading resumes by itself
    names = set(await shown(page))
    async with asyncio.timeout(TIMEOUT):
        while len(names) < MANY:
            await page.mouse.wheel(0, 400)
            await asyncio.sleep(0.02)
            in_document = await shown(page)
            assert len(in_document) < 150, "rows far away leave the document"
            names.update(in_document)
    assert names == {f"{n}.png" for n in range(MANY)}
    await expect(page.locator("#loading")).to_be_hidden()
    shift = await page.evaluate(
        """() => new Promise((resolve) => {
          new PerformanceObserver((list) => {
            resolve(list.getEntries().reduce((sum, { value }) => sum + value, 0));
          }).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(0), 200);
        })"""
    )
    assert shift < 0.01
