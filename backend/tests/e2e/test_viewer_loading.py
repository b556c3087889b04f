"""What the viewer asks the service for: neighbours ahead of the next step, and camera data."""

import asyncio
import re
from io import BytesIO

import httpx
import pytest
from PIL import ExifTags, Image
from playwright.async_api import Page, Request, Route, expect

from testkit import samples
from testkit.live import TIMEOUT, until, wait_until
from testkit.page import OpenPage
from testkit.programs import needs_chromium
from testkit.service import IMAGES, RENDERED_SECONDS, Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

LARGEST = re.compile(r"/thumbnails/800$")
NAMES = ["oldest.jpg", "older.jpg", "newer.jpg", "newest.jpg"]


@pytest.fixture(scope="module")
def ids(rendering: Service) -> list[str]:
    """Upload four images, from the oldest to the newest, and wait until they are rendered."""
    stored = [upload(rendering, samples.jpeg(1200, 900), name)["id"] for name in NAMES]
    rendering.wait_until_rendered()
    return stored


async def opened(page: Page, url: str, name: str) -> list[str]:
    """Open an image from the gallery; return the list of those whose thumbnails are asked for."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if LARGEST.search(request.url):
            asked.append(request.url.split("/")[-3])

    page.on("request", note)
    await page.goto(url)
    await page.locator(f'#gallery img[alt="{name}"]').click()
    viewer = page.get_by_role("dialog", name=name)
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", 1200)
    return asked


async def test_the_neighbours_thumbnails_are_loaded_ahead(
    rendering: Service, open_page: OpenPage, ids: list[str]
) -> None:
    page = await open_page(f"{rendering.url}/docs")
    asked = await opened(page, rendering.url, "older.jpg")
    oldest, older, newer, _ = ids
    await until(lambda: asked == [older, oldest, newer])


async def test_nothing_is_loaded_ahead_where_data_is_to_be_saved(
    rendering: Service, open_page: OpenPage, ids: list[str]
) -> None:
    page = await open_page(f"{rendering.url}/docs")
    await page.add_init_script(
        "Object.defineProperty(navigator, 'connection', { value: { saveData: true } })"
    )
    asked = await opened(page, rendering.url, "older.jpg")
    await page.evaluate("new Promise((resolve) => setTimeout(resolve, 500))")
    assert asked == [ids[1]]


async def test_what_was_loaded_ahead_in_vain_is_cancelled_by_the_next_step(
    rendering: Service, open_page: OpenPage, ids: list[str]
) -> None:
    oldest, _, newer, _ = ids
    page = await open_page(f"{rendering.url}/docs")
    held = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await held.wait()
        await route.abort()

    await page.route(f"**/{oldest}/thumbnails/800", answer_late)
    await page.goto(rendering.url)
    async with page.expect_request(f"**/{oldest}/thumbnails/800"):
        await page.locator('#gallery img[alt="older.jpg"]').click()
    viewer = page.get_by_role("dialog")
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", 1200)
    async with page.expect_event(
        "requestfailed", lambda request: f"/{oldest}/thumbnails/800" in request.url
    ):
        await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("dialog", name="newer.jpg")).to_be_visible()
    assert page.url.endswith(newer)
    held.set()


async def test_a_file_that_is_stepped_over_is_not_loaded_to_its_end(
    rendering: Service, open_page: OpenPage, ids: list[str]
) -> None:
    page = await open_page(f"{rendering.url}/docs")
    held = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await held.wait()
        await route.abort()

    file = f"**/{ids[1]}/file"
    await page.route(file, answer_late)
    await page.goto(rendering.url)
    async with page.expect_request(file):
        await page.locator('#gallery img[alt="older.jpg"]').click()
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/file")):
        await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="oldest.jpg")).to_be_visible()
    held.set()


async def test_details_have_what_the_camera_recorded(
    rendering: Service, open_page: OpenPage
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "FUJIFILM", "X-T5"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: "2026:11:21 16:20:00",
            ExifTags.Base.ExposureTime: 0.004,
            ExifTags.Base.FNumber: 2.8,
            ExifTags.Base.ISOSpeedRatings: 400,
            ExifTags.Base.FocalLength: 35.0,
            ExifTags.Base.LensModel: "XF35mmF1.4 R",
        }
    )
    file = BytesIO()
    Image.new("RGB", (640, 480), "green").save(file, "JPEG", exif=exif)
    image = upload(rendering, file.getvalue(), "river.jpg")
    address = f"{rendering.url}{IMAGES}/{image['id']}"
    wait_until(
        lambda: httpx.get(address, timeout=TIMEOUT).json()["metadata"] is not None, RENDERED_SECONDS
    )
    page = await open_page(rendering.url)
    await page.locator('#gallery img[alt="river.jpg"]').click()
    details = page.get_by_role("dialog", name="river.jpg").get_by_role("region", name="Details")
    for name, text in {
        "Taken": "21 November 2026 at 16:20",
        "Camera": "FUJIFILM X-T5",
        "Lens": "XF35mmF1.4 R",
        "Exposure": "1/250 s · f/2.8 · ISO 400 · 35 mm",
    }.items():
        await expect(details.locator(f"dt:text-is('{name}') + dd")).to_have_text(text)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="river.jpg")).to_have_count(0)
    await expect(details.get_by_text("Camera", exact=True)).to_have_count(0)
