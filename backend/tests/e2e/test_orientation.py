"""Orientations: a browser decides which images are turned."""

import base64

import pytest
from playwright.async_api import Browser

from testkit.orientations import TURNED, UPRIGHT
from testkit.programs import needs_chromium

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

SIDES = """async (address) => {
    const image = new Image();
    image.src = address;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""


async def test_the_orientations_we_read_are_those_that_a_browser_shows(
    browser: Browser,
) -> None:
    page = await browser.new_page()
    for case, image in (TURNED | UPRIGHT).items():
        kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
        address = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
        assert await page.evaluate(SIDES, address) == ([48, 64] if case in TURNED else [64, 48]), (
            case
        )
    await page.close()
