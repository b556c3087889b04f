"""Thumbnails: what the page shows until an image has come, and in its place."""

import asyncio
from io import BytesIO

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Locator, Page, Route, expect

from testkit.live import TIMEOUT
from testkit.page import shown_address
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PLACEHOLDER = "FfYC9aiIiIiHiIdweIeHh3+H+IiI"
"""ThumbHash of an image that is red on the left and blue on the right."""


def two_colours(width: int = 1200, height: int = 900) -> Image.Image:
    """Make an image that is red on the left and blue on the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return image


def as_file(image: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest_asyncio.fixture(loop_scope="session")
async def page(page: Page, service: Service) -> Page:
    """Upload an image, and return a page to whom the service says that it has rendered it."""
    upload(service, as_file(two_colours(), "PNG"), "colours.png")

    async def describe(route: Route) -> None:
        answer = await route.fetch()
        listed = await answer.json()
        thumbnails = {size: {"width": size, "height": size * 3 // 4} for size in (150, 300, 800)}
        listed["items"][0] |= {"placeholder": PLACEHOLDER, "thumbnails": thumbnails}
        await route.fulfill(response=answer, json=listed)

    async def answer_thumbnail(route: Route) -> None:
        size = int(route.request.url.rpartition("/")[2])
        thumbnail = as_file(two_colours(size, size * 3 // 4), "WEBP")
        await route.fulfill(body=thumbnail, content_type="image/webp")

    await page.route(f"**{IMAGES}?*", describe)
    await page.route("**/thumbnails/*", answer_thumbnail)
    return page


async def hold(page: Page, pattern: str) -> asyncio.Event:
    """Delay the answers to some requests until an event is set."""
    released = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await released.wait()
        await route.fallback()

    await page.route(pattern, answer_late)
    return released


async def natural_width(img: Locator) -> int:
    width: int = await img.evaluate("img => img.decode().then(() => img.naturalWidth)")
    return width


async def painted(canvas: Locator) -> None:
    """Wait until a placeholder is painted, for which the page loads a module first."""
    await expect(canvas).to_be_visible()
    await expect(canvas).not_to_have_js_property("width", 300)  # of a new canvas


async def colour_in(place: Locator, x: float, y: float) -> tuple[int, ...]:
    """Return the colour that is seen at a place of an element, given in parts of its sides."""
    seen = Image.open(BytesIO(await place.screenshot())).convert("RGB")
    colour = seen.getpixel((int(x * seen.width), int(y * seen.height)))
    assert isinstance(colour, tuple)
    return colour


async def test_a_placeholder_has_the_tile_until_the_thumbnail_comes(
    service: Service, page: Page
) -> None:
    released = await hold(page, "**/thumbnails/*")
    await page.goto(service.url)
    tile = page.locator("#gallery li")
    await painted(tile.locator("canvas"))
    red, blue = await colour_in(tile, 0.1, 0.5), await colour_in(tile, 0.9, 0.5)
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    box = await tile.bounding_box()
    released.set()
    await expect(tile.locator("canvas")).to_have_count(0)
    assert await shown_address(tile.locator("img")) == "300"
    assert await tile.bounding_box() == box


async def test_the_viewer_shows_the_thumbnail_until_the_file_comes(
    service: Service, page: Page
) -> None:
    thumbnail, file = await hold(page, "**/thumbnails/800"), await hold(page, "**/file")
    await page.goto(service.url)
    await page.locator("#gallery a").click()
    frame = page.get_by_role("dialog", name="colours.png").locator(".frame")
    await painted(frame.locator("canvas"))
    blurred = await colour_in(frame, 0.51, 0.5)
    thumbnail.set()
    await expect(frame.locator("canvas")).to_have_count(0)
    sharp = await colour_in(frame, 0.51, 0.5)
    assert sharp[2] > 240 > blurred[2]
    file.set()
    await expect(frame.locator("img")).to_have_js_property("naturalWidth", 1200)


async def test_a_late_thumbnail_is_requested_again(service: Service, page: Page) -> None:
    late = {"status": 503, "headers": {"Retry-After": "1"}, "body": ""}
    await page.route("**/thumbnails/*", lambda route: route.fulfill(**late), times=3)
    await page.clock.install()
    await page.goto(service.url)
    img = page.locator("#gallery img")
    await expect(img).to_have_class("pending")
    await expect(page.locator("#gallery canvas")).to_be_visible()
    async with asyncio.timeout(TIMEOUT):
        while await img.get_attribute("class"):
            await page.clock.run_for(1_000)
    assert await shown_address(img) == "300"


@pytest.mark.parametrize("status", [503, 200, 422])
async def test_a_thumbnail_that_stays_late_or_damaged_or_is_refused_is_replaced_by_the_file(
    service: Service, page: Page, status: int
) -> None:
    asked: list[str] = []

    async def answer(route: Route) -> None:
        asked.append(route.request.method)
        await route.fulfill(status=status, body="")

    await page.route("**/thumbnails/*", answer)
    await page.clock.install()
    await page.goto(service.url)
    img = page.locator("#gallery img")
    async with asyncio.timeout(TIMEOUT):
        while "/thumbnails/" in (await img.get_attribute("src") or ""):
            await page.clock.run_for(1_000)
    await expect(img).to_have_class("")
    assert await natural_width(img) == 1200
    assert asked == ["GET", "HEAD"] * (1 if status == 422 else 3)
