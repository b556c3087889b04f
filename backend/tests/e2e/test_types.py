"""The six types in the page: chosen, shown, and shown by a thumbnail where a browser cannot."""

import asyncio
import re
from io import BytesIO

import pytest
from PIL import Image
from playwright.async_api import Locator, Page, Request, Route, expect

from app.imaging.formats import ImageType
from testkit import samples
from testkit.format_samples import heif, named, picture
from testkit.live import TIMEOUT
from testkit.page import RENDERED_MS, OpenPage, a_file, choose
from testkit.programs import needs_chromium
from testkit.service import Service, download, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

FILE, THUMBNAIL, LARGEST = (
    re.compile(f"/{path}$") for path in ("file", "thumbnails/300", "thumbnails/800")
)
UNSHOWN = "Your browser cannot show this HEIC file."
ATTEMPTS = 3
"""How often the page loads what the browser may yet show."""


def loads_of_files(page: Page) -> list[str]:
    """Return a list of the files that the page loads from now on."""
    addresses: list[str] = []

    def note(request: Request) -> None:
        if request.method == "GET" and request.url.endswith("/file"):
            addresses.append(request.url)

    page.on("request", note)
    return addresses


def tile_of(page: Page, name: str) -> Locator:
    return page.locator(f'#gallery img[alt="{name}"]')


async def rendered(service: Service) -> None:
    """Wait until all is rendered: until then a page shows the file after some time, if it can."""
    await asyncio.to_thread(service.wait_until_rendered)


async def expect_thumbnail(tile: Locator) -> None:
    """Wait until a tile shows an image, in a width that is the browser's choice."""
    await expect(tile).not_to_have_js_property("naturalWidth", 0, timeout=RENDERED_MS)


@pytest.mark.parametrize("kind", [*ImageType])
async def test_an_image_of_each_type_is_chosen_and_shown(
    rendering: Service, open_page: OpenPage, kind: ImageType
) -> None:
    page = await open_page(rendering.url)
    word = kind.removeprefix("image/")
    name = f"chosen.{word}"
    await choose(page, a_file(name, named(f"{word} plain").content), strips=False)
    tile = tile_of(page, name)
    await expect(tile).to_be_visible()
    await rendered(rendering)
    await page.reload()  # or it would be shown from the file that was chosen
    await expect(tile).to_have_attribute("src", THUMBNAIL)
    await expect_thumbnail(tile)
    await tile.click()
    viewer = page.get_by_role("dialog", name=name)
    await expect(viewer.locator("dt:text-is('Type') + dd")).to_have_text(
        re.compile(f"^{word}$", re.IGNORECASE)
    )
    shown = LARGEST if kind is ImageType.HEIC else FILE
    await expect(viewer.locator("img")).to_have_attribute("src", shown)
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", picture.SIZE[0])
    await expect(viewer.get_by_text(UNSHOWN)).to_have_count(int(kind is ImageType.HEIC))


async def test_what_the_browser_cannot_show_is_shown_by_the_largest_thumbnail_and_downloaded_whole(
    rendering: Service, open_page: OpenPage
) -> None:
    content = heif.heic(picture.upright().resize((1600, 1200)))
    upload(rendering, named("jpeg plain").content, "older.jpg")
    upload(rendering, content, "IMG_0001.HEIC")
    await rendered(rendering)
    page = await open_page(rendering.url)
    tile = tile_of(page, "IMG_0001.HEIC")
    await expect_thumbnail(tile)
    loads = loads_of_files(page)
    await tile.click()
    viewer = page.get_by_role("dialog")
    sentence = f"{UNSHOWN} Here is a smaller version; Download saves the original."
    await expect(viewer.get_by_text(sentence)).to_be_visible()
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", 800)
    await expect(viewer.locator("img")).to_have_class("")
    async with page.expect_download() as downloading:
        await viewer.get_by_text("Download", exact=True).click()
    saved = await downloading.value
    assert saved.suggested_filename == "IMG_0001.HEIC"
    assert (await saved.path()).read_bytes() == content
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_contain_text("older.jpg")
    await expect(viewer.get_by_text(UNSHOWN)).to_have_count(0)
    heic, jpeg = loads[0], loads[-1]
    assert loads == [heic] * (len(loads) - 1) + [jpeg]
    assert len(loads) - 1 <= ATTEMPTS


async def test_a_thumbnail_that_is_yet_to_be_rendered_is_shown_where_the_file_cannot_be(
    rendering: Service, open_page: OpenPage
) -> None:
    image = upload(rendering, named("heic grid of tiles").content, "new.heic")
    page = await open_page(f"{rendering.url}/docs")
    is_rendered = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await is_rendered.wait()  # the page asks three times only, and a busy worker takes longer
        await route.continue_()

    thumbnail = f"**/{image['id']}/thumbnails/800"
    await page.route(thumbnail, answer_late)
    async with page.expect_request(thumbnail):
        await page.goto(f"{rendering.url}/#{image['id']}")
    await rendered(rendering)
    is_rendered.set()
    viewer = page.get_by_role("dialog", name="new.heic")
    await expect(viewer.get_by_text(UNSHOWN)).to_be_visible()
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", picture.SIZE[0])


@pytest.mark.parametrize("kind", ["heic", "jpeg"])
async def test_a_file_that_cannot_be_shown_without_a_thumbnail_can_be_downloaded(
    service: Service, open_page: OpenPage, kind: str
) -> None:
    files = {"heic": named("heic plain").content, "jpeg": samples.jpeg()[:400]}  # ends in a header
    name = f"IMG_0002.{kind}"
    image = upload(service, files[kind], name)
    page = await open_page(f"{service.url}/docs")
    loads = loads_of_files(page)
    await page.goto(service.url)
    await expect(tile_of(page, name)).to_have_class("broken")
    in_tile = len(loads)
    await tile_of(page, name).click()
    viewer = page.get_by_role("dialog", name=name)
    sentence = f"Your browser cannot show this {kind.upper()} file. Download saves the original."
    await expect(viewer.get_by_text(sentence)).to_be_visible()
    assert max(in_tile, len(loads) - in_tile) <= ATTEMPTS
    async with page.expect_download() as downloading:
        await viewer.get_by_text("Download", exact=True).click()
    assert (await (await downloading.value).path()).read_bytes() == download(service, image)


async def test_a_thumbnail_that_comes_after_a_step_to_the_next_image_changes_nothing(
    rendering: Service, open_page: OpenPage
) -> None:
    upload(rendering, named("jpeg plain").content, "next.jpg")
    late = upload(rendering, named("png plain").content, "late.png")
    await rendered(rendering)  # so their placeholders are known
    page = await open_page(rendering.url)
    await expect_thumbnail(tile_of(page, "late.png"))
    arrived = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    thumbnail = f"**/{late['id']}/thumbnails/800"
    await page.route(thumbnail, answer_late)
    async with page.expect_request(thumbnail):
        await tile_of(page, "late.png").click()
    await page.keyboard.press("ArrowRight")
    viewer = page.get_by_role("dialog", name="next.jpg")
    await expect(viewer.locator("img")).to_have_attribute("src", FILE)
    async with page.expect_response(thumbnail):
        arrived.set()
    await page.wait_for_load_state("networkidle")
    await expect(viewer.locator("img")).to_have_attribute("alt", "next.jpg")


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
async def test_an_animation_plays_in_the_viewer_and_stands_still_in_its_tile(
    rendering: Service, open_page: OpenPage, kind: str
) -> None:
    first, second = (Image.new("RGB", (320, 240), colour) for colour in ("red", "blue"))
    file = BytesIO()
    first.save(file, kind, save_all=True, append_images=[second], duration=200, loop=0)
    upload(rendering, file.getvalue(), f"moving.{kind}")
    await rendered(rendering)
    page = await open_page(rendering.url)
    tile = tile_of(page, f"moving.{kind}")
    await expect_thumbnail(tile)
    assert await strongest_colour(tile) == "red"
    await tile.click()
    img = page.get_by_role("dialog").locator("img")
    await expect(img).to_have_attribute("src", FILE)
    seen: set[str] = set()
    async with asyncio.timeout(TIMEOUT):
        while len(seen) < 2:
            seen.add(await strongest_colour(img))
    assert seen == {"red", "blue"}


async def strongest_colour(img: Locator) -> str:
    """Return which colour the middle of an image has."""
    seen = Image.open(BytesIO(await img.screenshot())).convert("RGB")
    red, _, blue = seen.getpixel((seen.width // 2, seen.height // 2))  # type: ignore[misc]
    return "red" if red > blue else "blue"
