"""Stripped images: a browser shows them as it shows the originals."""

import base64

import pytest
from playwright.async_api import Browser

from app.imaging.formats import detect
from app.imaging.stripping.strippers import STRIPPERS
from testkit import format_samples, orientations
from testkit.programs import needs_chromium
from testkit.secretive import SECRETIVE
from testkit.stripping import strip

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

SAMPLES = {
    sample.name: sample.content
    for sample in format_samples.all_samples().values()
    if sample.image_type in STRIPPERS
}
PIXELS = """async (address) => {
    const image = new Image();
    const shown = new Promise((done) => {
        image.onload = () => done(true);
        image.onerror = () => done(false);
    });
    image.src = address;
    if (!(await shown)) return "not shown";
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return `${canvas.width} by ${canvas.height}: ${canvas.toDataURL()}`;
}"""


async def test_a_browser_shows_stripped_images_as_the_originals(browser: Browser) -> None:
    page = await browser.new_page()
    images = orientations.TURNED | orientations.UPRIGHT | SAMPLES | SECRETIVE
    for case, image in images.items():
        original = await page.evaluate(PIXELS, _address(image))
        assert original != "not shown" or "truncated" in case, case
        assert await page.evaluate(PIXELS, _address(strip(image))) == original, case
    await page.close()


def _address(content: bytes) -> str:
    return f"data:{detect(content)};base64,{base64.b64encode(content).decode()}"
