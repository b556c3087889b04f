"""Stored images: browse, open, share, delete."""

import asyncio

import httpx
import pytest
from playwright.async_api import Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage, all_loaded, shown
from testkit.programs import needs_chromium
from testkit.service import (
    IMAGES,
    Service,
    delete,
    storage_unavailable,
    upload,
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
MANY = 300


async def until(page: Page, expression: str) -> None:
    """Wait for what an expression says; the page's policy lets Playwright evaluate it only once."""
    async with asyncio.timeout(TIMEOUT):
        while not await page.evaluate(expression):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


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
    await all_loaded(page)
    await page.context.set_offline(True)
    failure = page.get_by_text("There is no connection to the service.")
    async with asyncio.timeout(2 * TIMEOUT):
        while not await failure.is_visible():  # a busy browser may drop the turn of a wheel
            await page.mouse.wheel(0, 100_000)
            await asyncio.sleep(0.2)
    await page.locator("#gallery img").last.click()
    no_connection = page.get_by_role("dialog").get_by_text("There is no connection")
    async with asyncio.timeout(4 * TIMEOUT):
        while not await no_connection.is_visible():  # the last row is not shown until it is full
            await page.keyboard.press("ArrowRight")
            await asyncio.sleep(0.1)  # each key begins anew to load an image
    await page.keyboard.press("Escape")
    await page.context.set_offline(False)  # loading resumes by itself
    place = 0
    names: set[str] = set()
    async with asyncio.timeout(TIMEOUT):
        while len(names) < MANY:
            height = await page.evaluate("document.documentElement.scrollHeight")
            place = (place + 400) % height
            await page.evaluate(f"scrollTo(0, {place})")
            await asyncio.sleep(0.02)
            in_document = await shown(page)
            assert len(in_document) < 150, "rows far away leave the document"
            names.update(in_document)
    assert names == {f"{n}.png" for n in range(MANY)}
    await expect(page.locator("#loading")).to_be_hidden()
    shifts = await page.evaluate(
        """() => new Promise((resolve) => {
          const name = ({ node }) => node && (node.outerHTML ?? node.textContent).slice(0, 80);
          new PerformanceObserver((list) => {
            resolve(list.getEntries().map(({ value, sources }) => [value, sources.map(name)]));
          }).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve([]), 200);
        })"""
    )
    # A reader notices no shift below 0.1 (web.dev/cls).
    assert sum(value for value, _ in shifts) < 0.05, shifts


async def position_of(page: Page, name: str) -> float:
    """Return how far below the top of the window an image is, in pixels."""
    box = await page.locator(f'#gallery img[alt="{name}"]').bounding_box()
    assert box
    return box["y"]


def upload_many(service: Service, count: int) -> None:
    """Upload images named 000.png and so on."""
    content = samples.png(80, 80)
    for start in range(0, count, 20):
        files = [("files", (f"{n:03}.png", content)) for n in range(start, start + 20)]
        stored = httpx.post(f"{service.url}{IMAGES}/batch", files=files, timeout=TIMEOUT)
        assert len(stored.json()["uploaded"]) == 20


SETTLED = """() => new Promise((resolve) => {
  let timer = setTimeout(resolve, 300);
  addEventListener("scroll", () => {
    clearTimeout(timer);
    timer = setTimeout(resolve, 300);
  });
})"""
"""Ends when nothing has scrolled for a while, by the clock of the page."""


async def scroll_down(page: Page) -> str:
    """Scroll below the first page of images; return the name of one that is in sight."""
    await all_loaded(page)
    async with asyncio.timeout(TIMEOUT):
        while await page.evaluate("scrollY") < 1600:
            await page.mouse.wheel(0, 200)
            await asyncio.sleep(0.02)
    await until(page, "history.state?.anchor?.offset > -200")
    middle = """() => [...document.querySelectorAll("#gallery img")]
      .find((img) => img.getBoundingClientRect().top > 300).alt"""
    await page.evaluate(SETTLED)  # what is kept is the position after the last scroll
    name: str = await page.evaluate(middle)
    return name


async def test_reloading_and_coming_back_keep_the_scroll_position(
    service: Service, open_page: OpenPage
) -> None:
    upload_many(service, 160)
    page = await open_page(service.url)
    await expect(page.locator("#gallery img").first).to_be_visible()
    name = await scroll_down(page)
    position = await position_of(page, name)
    img = page.locator(f'#gallery img[alt="{name}"]')
    await page.reload()
    await all_loaded(page)
    await expect(img).to_be_in_viewport()
    assert await position_of(page, name) == pytest.approx(position, abs=2)
    await page.goto(f"{service.url}/docs")
    await page.go_back()
    await all_loaded(page)
    await expect(img).to_be_in_viewport()
    assert await position_of(page, name) == pytest.approx(position, abs=2)


async def test_what_others_add_and_delete_appears_and_goes_and_moves_nothing_in_sight(
    service: Service, open_page: OpenPage
) -> None:
    upload_many(service, 160)
    page = await open_page(service.url)
    await expect(page.get_by_role("link", name="159.png")).to_be_visible()
    added = upload(service, JPEG, "added.jpg")
    await expect(page.get_by_role("link", name="added.jpg")).to_be_visible()
    delete(service, added)
    await expect(page.get_by_role("link", name="added.jpg")).to_have_count(0)
    name = await scroll_down(page)
    position = await position_of(page, name)
    height = await page.evaluate("document.documentElement.scrollHeight")
    for number in range(20):  # more than a row
        upload(service, JPEG, f"later-{number}.jpg")
    await until(page, f"document.documentElement.scrollHeight > {height}")
    assert await position_of(page, name) == pytest.approx(position, abs=2)


async def test_days_have_headings_and_stay_at_the_top_while_their_images_pass(
    service: Service, open_page: OpenPage
) -> None:
    upload_many(service, 100)
    page = await open_page(service.url)
    heading = page.get_by_role("heading", name="Today")
    await expect(heading).to_be_visible()
    await scroll_down(page)
    await expect(heading).to_be_in_viewport(ratio=1)


async def test_the_header_counts_the_pictures(service: Service, open_page: OpenPage) -> None:
    upload(service, JPEG, "first.jpg")
    page = await open_page(service.url)
    await expect(page.locator("#count")).to_have_text("1 picture")
    upload(service, JPEG, "second.jpg")
    await expect(page.locator("#count")).to_have_text("2 pictures")


async def test_transparency_shows_a_checkerboard_and_a_photograph_none(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "photograph.jpg")
    upload(service, samples.png(80, 80), "drawing.png")
    page = await open_page(service.url)
    background = "img => getComputedStyle(img).backgroundImage"
    drawing = page.locator('#gallery img[alt="drawing.png"]')
    assert "repeating-conic-gradient" in await drawing.evaluate(background)
    photograph = page.locator('#gallery img[alt="photograph.jpg"]')
    assert await photograph.evaluate(background) == "none"


async def test_a_long_press_selects_and_a_touch_opens(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "held.jpg")
    page = await open_page(service.url, has_touch=True, viewport={"width": 375, "height": 700})
    await all_loaded(page)
    img = page.locator("#gallery img")
    touch = {"pointerType": "touch", "bubbles": True}
    await img.dispatch_event("pointerdown", touch)
    await expect(page.get_by_role("checkbox", name="Select held.jpg")).to_be_checked()
    await img.dispatch_event("pointerup", touch)
    await img.tap()
    await expect(page.get_by_role("checkbox", name="Select held.jpg")).not_to_be_checked()
    await img.tap()
    await expect(page.get_by_role("dialog", name="held.jpg")).to_be_visible()
