"""Thumbnails as workers render them: what the page loads of a gallery of photographs."""

import asyncio
import re
from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest
from PIL import Image
from playwright.async_api import Response, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import (
    RENDERED_MS,
    OpenPage,
    a_file,
    choose,
    shown_address,
    wait_for_previews,
)
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, StartService

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

FIRST_SCREEN = 1_500_000
"""Bytes that the page may need for a first screen of photographs."""
MANY = 60
"""More than are on a screen, and few enough for a worker that has only what time others leave."""
MAX_PIXELS = 2_000_000


@pytest.fixture(scope="module")
def service(
    start_service: StartService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Start a service with a worker."""
    data_dir = tmp_path_factory.mktemp("rendered") / "data"
    settings = ("WORKER_PROCESSES=1", f"MAX_PIXELS={MAX_PIXELS}")
    service = start_service(*settings, data_dir=data_dir).wait_until_it_serves()
    yield service
    service.stop()


def photograph(number: int, width: int = 1600, height: int = 1200) -> bytes:
    """Make an image with the detail of a photograph: its 300 takes 16 kB, as of a larger one."""
    colours = bytes((number * 83 + place * 37) % 256 for place in range(3 * 8 * 6))
    image = Image.frombytes("RGB", (8, 6), colours).resize((width, height))
    for grain in (2, 8, 32):
        noise = Image.effect_noise((width // grain, height // grain), 90).resize(image.size)
        image = Image.blend(image, noise.convert("RGB"), 0.15)
    file = BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


async def test_a_first_screen_of_photographs_loads_thumbnails_alone(
    service: Service, open_page: OpenPage
) -> None:
    kinds = [photograph(number) for number in range(8)]
    async with httpx.AsyncClient(base_url=service.url, timeout=TIMEOUT) as client:
        for start in range(0, MANY, 20):
            files = [
                ("files", (f"{number:03}.jpg", kinds[number % 8]))
                for number in range(start, start + 20)
            ]
            stored = await client.post(f"{IMAGES}/batch", files=files)
            assert len(stored.json()["uploaded"]) == 20
    await asyncio.to_thread(service.wait_until_rendered)
    page = await open_page(f"{service.url}/docs")
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Network.enable")
    received: list[int] = []
    cdp.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    await page.goto(service.url)
    in_sight = page.locator("#gallery li:nth-child(-n + 24) img")
    await expect(in_sight).to_have_count(24)
    for img in await in_sight.all():
        assert await shown_address(img, RENDERED_MS) == "300"
    await page.wait_for_load_state("networkidle")
    assert sum(received) <= FIRST_SCREEN
    assert not [address for address in addresses if address.endswith("/file")]


async def test_an_uploaded_image_has_a_tile_at_once_and_a_thumbnail_after_a_reload(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url)
    await wait_for_previews(page)
    await choose(page, a_file("new.jpg", photograph(0)))
    img = page.locator('#gallery img[alt="new.jpg"]')
    await expect(img).to_have_attribute("src", re.compile("^blob:"))
    await page.reload()
    assert await shown_address(img, RENDERED_MS) == "300"


async def test_an_image_that_cannot_be_rendered_is_shown_itself(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url)
    statuses: list[int] = []

    def note(response: Response) -> None:
        if "/thumbnails/" in response.url:
            statuses.append(response.status)

    await wait_for_previews(page)
    await choose(page, a_file("large.jpg", samples.jpeg(2000, 1500)))
    img = page.locator('#gallery img[alt="large.jpg"]')
    await expect(img).to_have_attribute("src", re.compile("^blob:"))
    page.on("response", note)
    await page.reload()
    await expect(img).to_have_js_property("naturalWidth", 2000, timeout=RENDERED_MS)
    assert 422 in statuses
