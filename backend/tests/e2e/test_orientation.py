"""Orientations and dimensions: a browser decides how images are shown."""

import base64

import pytest
from playwright.async_api import Browser, Page

from app.imaging.formats import ImageType, detect
from testkit.bombs import measure
from testkit.format_samples import all_samples
from testkit.orientations import TURNED, UPRIGHT
from testkit.programs import needs_chromium
from testkit.unusual_headers import avifs, gifs, webps

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

SIDES = """async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""
NOT_SHOWN = {ImageType.HEIC}
"""By this browser."""


async def test_the_orientations_we_read_are_those_that_a_browser_shows(
    browser: Browser,
) -> None:
    page = await browser.new_page()
    for case, image in (TURNED | UPRIGHT).items():
        assert await _shown(page, image) == ([48, 64] if case in TURNED else [64, 48]), case
    await page.close()


async def test_the_dimensions_we_read_are_those_that_a_browser_shows(browser: Browser) -> None:
    """Of GIF screens, of Exif in WebP, and of AVIF that is turned and cropped, among others."""
    page = await browser.new_page()
    whole = {
        sample.name: sample.content
        for sample in all_samples().values()
        if sample.image_type not in NOT_SHOWN and sample.trait != "truncated"
    }
    for case, image in {**gifs(), **webps(), **avifs(), **whole}.items():
        size = measure(image)
        assert size
        assert await _shown(page, image) == [*size], case
    await page.close()


async def _shown(page: Page, image: bytes) -> object:
    kind = detect(image)
    assert kind
    address = f"data:{kind.value};base64,{base64.b64encode(image).decode()}"
    return await page.evaluate(SIDES, address)
