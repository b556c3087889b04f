"""An open image zoomed, moved and swiped: by mouse, keys and fingers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import CDPSession, FloatRect, Locator, Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage
from testkit.programs import needs_chromium
from testkit.service import Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"viewport": {"width": 375, "height": 667}, "has_touch": True, "is_mobile": True}
Points = list[tuple[float, float]]


@pytest_asyncio.fixture(loop_scope="session")
async def address(service: Service) -> str:
    """Upload three images, and return the address of the middle one, which is large."""
    upload(service, samples.jpeg(640, 480), "oldest.jpg")
    large = upload(service, samples.jpeg(3000, 2000), "large.jpg")
    upload(service, samples.jpeg(640, 480), "newest.jpg")
    return f"{service.url}/#{large['id']}"


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage, address: str) -> Page:
    return await opened(await open_page(address))


@pytest_asyncio.fixture(loop_scope="session")
async def phone(open_page: OpenPage, address: str) -> Page:
    return await opened(await open_page(address, **PHONE))


async def opened(page: Page) -> Page:
    await expect(image_of(page)).to_have_js_property("naturalWidth", 3000)
    await expect(page.locator("#gallery img")).to_have_count(3)
    return page


def image_of(page: Page) -> Locator:
    return page.get_by_role("dialog").locator("img")


async def box_of(place: Locator) -> FloatRect:
    box = await place.bounding_box()
    assert box
    return box


async def middle_of(page: Page) -> tuple[float, float]:
    box = await box_of(page.locator(".frame"))
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def expect_width(page: Page, pixels: float) -> None:
    await expect(image_of(page)).to_have_js_property("clientWidth", round(pixels))


async def expect_left(page: Page, pixels: float) -> None:
    async with asyncio.timeout(TIMEOUT):
        while (await box_of(image_of(page)))["x"] != pytest.approx(pixels, abs=1):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Fingers:
    """Fingers on a phone's screen."""

    def __init__(self, session: CDPSession) -> None:
        self._session = session
        self._time = time.time()
        """When they touch the screen, however long the browser takes: a tap is not to be slow."""

    async def touch(
        self, kind: Literal["touchStart", "touchMove", "touchEnd"], points: Points
    ) -> None:
        self._time += 0.02
        touches = [{"x": x, "y": y, "id": place} for place, (x, y) in enumerate(points)]
        event = {"type": kind, "touchPoints": touches, "timestamp": self._time}
        await self._session.send("Input.dispatchTouchEvent", event)

    @asynccontextmanager
    async def swiping(self, start: Points, end: Points) -> AsyncIterator[None]:
        """Put fingers down and move them; lift them at the exit."""
        await self.touch("touchStart", start)
        for part in (0.25, 0.5, 0.75, 1):
            between = [
                (x + (to_x - x) * part, y + (to_y - y) * part)
                for (x, y), (to_x, to_y) in zip(start, end, strict=True)
            ]
            await self.touch("touchMove", between)
        yield
        await self.touch("touchEnd", [])

    async def swipe(self, start: Points, end: Points) -> None:
        async with self.swiping(start, end):
            pass

    async def tap(self, x: float, y: float) -> None:
        await self.touch("touchStart", [(x, y)])
        await self.touch("touchEnd", [])


async def fingers_on(page: Page) -> Fingers:
    return Fingers(await page.context.new_cdp_session(page))


async def test_an_image_is_fitted_and_never_enlarged(page: Page) -> None:
    frame, image = await box_of(page.locator(".frame")), await box_of(image_of(page))
    assert image["width"] < frame["width"]
    assert image["height"] < frame["height"]
    assert image["width"] / image["height"] == pytest.approx(1.5, rel=0.01)
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="oldest.jpg")).to_be_visible()
    await expect_width(page, 640)
    await expect(page.get_by_role("group", name="Zoom")).to_contain_text("100 %")
    await page.set_viewport_size({"width": 480, "height": 800})
    await expect(image_of(page)).not_to_have_js_property("clientWidth", 640)
    assert (await box_of(image_of(page)))["width"] < 480


async def test_keys_and_buttons_zoom(page: Page) -> None:
    fitted = (await box_of(image_of(page)))["width"]
    zoom = page.get_by_role("group", name="Zoom")
    await page.keyboard.press("+")
    await expect_width(page, fitted * 1.5)
    await page.keyboard.press("-")
    await expect_width(page, fitted)
    await page.keyboard.press("-")
    await expect_width(page, fitted)
    await page.keyboard.press("1")
    await expect_width(page, 3000)
    await expect(zoom).to_contain_text("100 %")
    await page.keyboard.press("0")
    await expect_width(page, fitted)
    await zoom.get_by_label("Zoom in").click()
    await expect_width(page, fitted * 1.5)
    await zoom.get_by_label("Zoom out").click()
    await expect_width(page, fitted)
    await zoom.get_by_text("%").click()
    await expect_width(page, 3000)
    await zoom.get_by_text("100 %").click()
    await expect_width(page, fitted)


async def test_the_wheel_zooms_to_what_is_below_the_pointer(page: Page) -> None:
    x, y = await middle_of(page)
    await page.mouse.move(x + 100, y + 50)
    before = await box_of(image_of(page))
    async with asyncio.timeout(TIMEOUT):
        while not await page.locator(".frame.zoomed").count():
            await page.mouse.wheel(0, -500)  # a busy browser may drop the turn of a wheel
            await asyncio.sleep(0.2)
    after = await box_of(image_of(page))
    assert after["width"] > 2 * before["width"]
    for axis, side, point in (("x", "width", x + 100), ("y", "height", y + 50)):
        parts = [(point - box[axis]) / box[side] for box in (before, after)]  # type: ignore[literal-required]
        assert parts[0] == pytest.approx(parts[1], abs=0.005)
    async with asyncio.timeout(TIMEOUT):
        while await page.locator(".frame.zoomed").count():
            await page.mouse.wheel(0, 5000)
            await asyncio.sleep(0.2)
    await expect_width(page, before["width"])


async def test_a_double_click_shows_every_pixel_and_the_whole_again(page: Page) -> None:
    fitted = (await box_of(image_of(page)))["width"]
    await page.mouse.dblclick(*await middle_of(page))
    await expect_width(page, 3000)
    await page.mouse.dblclick(*await middle_of(page))
    await expect_width(page, fitted)


async def test_a_zoomed_image_is_dragged_to_its_edges(page: Page) -> None:
    x, y = await middle_of(page)
    before = await box_of(image_of(page))
    await drag(page, (x, y), (x + 60, y))
    assert await box_of(image_of(page)) == before, "there is nothing to see beside it"
    await page.keyboard.press("1")
    await expect_width(page, 3000)
    zoomed = await box_of(image_of(page))
    await drag(page, (x, y), (x - 60, y - 40))
    dragged = await box_of(image_of(page))
    assert (dragged["x"], dragged["y"]) == (zoomed["x"] - 60, zoomed["y"] - 40)
    for _ in range(8):
        await drag(page, (x - 300, y - 200), (x + 300, y + 200))
    corner, frame = await box_of(image_of(page)), await box_of(page.locator(".frame"))
    assert corner["y"] == pytest.approx(frame["y"], abs=20)
    assert frame["x"] <= corner["x"] < x


async def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    await page.mouse.move(*start)
    await page.mouse.down()
    await page.mouse.move(*end, steps=3)
    await page.mouse.up()


async def test_arrows_move_a_zoomed_image_and_step_at_its_edge(page: Page) -> None:
    await page.keyboard.press("1")
    await expect_width(page, 3000)
    before = await box_of(image_of(page))
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    after = await box_of(image_of(page))
    assert after["x"] < before["x"]
    assert after["y"] < before["y"]
    viewer = page.get_by_role("dialog")
    for _ in range(30):
        await page.keyboard.press("ArrowRight")
        if await page.get_by_role("dialog", name="oldest.jpg").count():
            break
        await expect(viewer).to_contain_text("large.jpg")
    await expect(page.get_by_role("dialog", name="oldest.jpg")).to_be_visible()


async def test_two_fingers_zoom_and_one_moves(phone: Page) -> None:
    fingers = await fingers_on(phone)
    x, y = await middle_of(phone)
    fitted = await box_of(image_of(phone))
    await fingers.swipe([(x - 30, y), (x + 30, y)], [(x - 90, y), (x + 90, y)])
    await expect_width(phone, fitted["width"] * 3)
    zoomed = await box_of(image_of(phone))
    assert zoomed["x"] + zoomed["width"] / 2 == pytest.approx(x, abs=2)
    await fingers.swipe([(x, y)], [(x - 100, y)])
    await expect_left(phone, zoomed["x"] - 100)
    await expect(phone.get_by_role("dialog")).to_contain_text("large.jpg")
    await fingers.swipe([(x - 90, y), (x + 90, y)], [(x - 10, y), (x + 10, y)])
    await expect_width(phone, fitted["width"])


async def test_a_double_tap_comes_nearer_and_back(phone: Page) -> None:
    fingers = await fingers_on(phone)
    x, y = await middle_of(phone)
    fitted = (await box_of(image_of(phone)))["width"]
    for width in (3 * fitted, fitted):
        await fingers.tap(x, y)
        await fingers.tap(x, y)
        await expect_width(phone, width)


async def test_an_image_follows_the_finger_that_swipes_to_the_next(phone: Page) -> None:
    fingers = await fingers_on(phone)
    x, y = await middle_of(phone)
    before = await box_of(image_of(phone))
    async with fingers.swiping([(x + 100, y)], [(x - 60, y)]):
        await expect_left(phone, before["x"] - 160)
    await expect(phone.get_by_role("dialog", name="oldest.jpg")).to_be_visible()
    await fingers.swipe([(x + 100, y)], [(x - 60, y)])  # there is none
    await expect(phone.get_by_role("dialog", name="oldest.jpg")).to_be_visible()
    await expect(image_of(phone)).to_have_js_property("naturalWidth", 640)
    last = await box_of(image_of(phone))
    await expect_left(phone, x - last["width"] / 2)  # it goes back to its place
    await fingers.swipe([(x - 100, y)], [(x + 60, y)])
    await expect(phone.get_by_role("dialog", name="large.jpg")).to_be_visible()


async def test_a_swipe_downwards_closes_the_viewer(phone: Page, service: Service) -> None:
    fingers = await fingers_on(phone)
    x, y = await middle_of(phone)
    await fingers.swipe([(x, y - 100)], [(x, y + 150)])
    await expect(phone.get_by_role("dialog")).to_have_count(0)
    await expect(phone).to_have_url(f"{service.url}/")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
async def test_images_slide_only_where_motion_is_wanted(
    open_page: OpenPage, address: str, motion: Literal["reduce", "no-preference"]
) -> None:
    page = await opened(await open_page(address, **PHONE, reduced_motion=motion))
    await page.evaluate(
        """() => {
          const { animate } = Element.prototype;
          window.slides = 0;
          Element.prototype.animate = function (...options) {
            if (this.matches(".image")) window.slides += 1;
            return animate.apply(this, options);
          };
        }"""
    )
    x, y = await middle_of(page)
    await (await fingers_on(page)).swipe([(x + 100, y)], [(x - 60, y)])
    await expect(page.get_by_role("dialog", name="oldest.jpg")).to_be_visible()
    await page.wait_for_function("wanted => window.slides === wanted", arg=int(motion != "reduce"))
