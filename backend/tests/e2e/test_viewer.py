"""An open image: its address, what is shown of it, and the way back."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Route, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OPTIONS, OpenPage
from testkit.programs import needs_chromium
from testkit.service import Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
PHONE = {"width": 375, "height": 667}


async def test_the_details_of_an_image_are_shown_and_hidden(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service, samples.sized_jpeg(100_000), "holiday.jpg")
    page = await open_page(service.url)
    await page.locator('img[alt="holiday.jpg"]').click()
    viewer = page.get_by_role("dialog", name="holiday.jpg")
    await expect(viewer).to_be_visible()
    facts = dict(
        zip(
            await viewer.locator("dt:visible").all_inner_texts(),
            await viewer.locator("dd:visible").all_inner_texts(),
            strict=True,
        )
    )
    assert facts.pop("File size") == "97.7 KiB"
    uploaded = datetime.fromisoformat(image["created_at"]).astimezone(
        ZoneInfo(str(OPTIONS["timezone_id"]))
    )
    assert facts.pop("Uploaded") == uploaded.strftime("%-d %B %Y at %H:%M"), "local time"
    assert facts == {
        "Type": "JPEG",
        "Dimensions": "64 \u00d7 48 pixels",
        "Address": image["url"],
        "Checksum": image["checksum"],
    }
    await expect(viewer.get_by_role("link", name=image["url"])).to_have_attribute(
        "href", image["url"]
    )
    details, button = viewer.get_by_role("region"), viewer.get_by_role("button", name="Details")
    await page.keyboard.press("i")
    await expect(details).to_have_count(0)
    await expect(button).to_have_attribute("aria-expanded", "false")
    await button.click()
    await expect(details).to_be_visible()
    await expect(button).to_have_attribute("aria-expanded", "true")


async def test_a_phone_shows_the_image_above_its_controls_and_details_when_they_are_wanted(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service, samples.jpeg(1200, 900), "holiday.jpg")
    page = await open_page(f"{service.url}/#{image['id']}", viewport=PHONE, has_touch=True)
    viewer = page.get_by_role("dialog", name="holiday.jpg")
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", 1200)
    details = viewer.get_by_role("region")
    await expect(details).to_have_count(0)
    tops = {}
    for name in ("Delete", "Copy", "Download", "Details", "Close"):
        control = viewer.get_by_role("link" if name == "Download" else "button", name=name)
        box = await control.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44, name
        tops[name] = box["y"]
    assert min(tops.values()) > 0.85 * PHONE["height"], "close to the thumb"
    await viewer.get_by_role("button", name="Details").tap()
    await expect(details).to_be_visible()
    covers = """(details) => {
      const img = details.closest("dialog").querySelector("img");
      return details.getBoundingClientRect().top < img.getBoundingClientRect().bottom;
    }"""
    async with asyncio.timeout(TIMEOUT):  # the image makes room in the next frame
        while await details.evaluate(covers):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


async def test_the_address_names_the_open_image(service: Service, open_page: OpenPage) -> None:
    older, newer = upload(service, JPEG, "older.jpg"), upload(service, JPEG, "newer.jpg")
    page = await open_page(service.url)
    viewer = page.get_by_role("dialog")
    await page.locator('img[alt="newer.jpg"]').click()
    await expect(viewer).to_contain_text("newer.jpg")
    await expect(page).to_have_url(f"{service.url}/#{newer['id']}")
    await page.keyboard.press("Shift+ArrowRight")
    await page.keyboard.press("Control+ArrowRight")
    await expect(viewer).to_contain_text("newer.jpg")
    await page.locator("dialog img").click()  # takes the focus; the keys still work
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_contain_text("older.jpg")
    assert page.url == f"{service.url}/#{older['id']}"
    await page.keyboard.press("ArrowRight")
    await expect(viewer.get_by_label("Older picture")).to_have_attribute("aria-disabled", "true")
    await page.keyboard.press("ArrowLeft")
    await expect(viewer).to_contain_text("newer.jpg")
    await page.evaluate("history.back()")
    await expect(viewer).to_have_count(0)
    await expect(page).to_have_url(f"{service.url}/")
    await page.evaluate("history.forward()")
    await expect(viewer).to_contain_text("newer.jpg")
    await page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(page).to_have_url(f"{service.url}/")

    shared = await open_page(f"{service.url}/#{older['id']}")
    await expect(shared.get_by_role("dialog", name="older.jpg")).to_be_visible()
    await shared.get_by_role("button", name="Close").click()
    await expect(shared.get_by_role("link", name="older.jpg")).to_be_focused()
    assert shared.url == f"{service.url}/"


async def test_closing_the_viewer_leads_to_the_gallery_and_never_to_another_site(
    service: Service, open_page: OpenPage
) -> None:
    older, newer = upload(service, JPEG, "older.jpg"), upload(service, JPEG, "newer.jpg")
    page = await open_page(f"{service.url}/docs")
    await page.goto(f"{service.url}/#{older['id']}")
    viewer = page.get_by_role("dialog")
    await expect(viewer).to_contain_text("older.jpg")
    await page.evaluate("location.hash = ''")
    await expect(viewer).to_have_count(0)
    await page.evaluate("history.back()")
    await expect(viewer).to_contain_text("older.jpg")
    await page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(page).to_have_url(f"{service.url}/")
    await page.locator('img[alt="newer.jpg"]').click()
    await expect(viewer).to_contain_text("newer.jpg")
    await expect(page).to_have_url(f"{service.url}/#{newer['id']}")


async def test_closing_the_viewer_scrolls_to_the_image_it_showed_last(
    service: Service, open_page: OpenPage
) -> None:
    for number in range(40):
        upload(service, JPEG, f"{number:02}.jpg")
    page = await open_page(service.url)
    await page.locator('img[alt="39.jpg"]').click()
    await expect(page.get_by_role("dialog", name="39.jpg")).to_be_visible()
    for number in range(38, -1, -1):
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("dialog", name=f"{number:02}.jpg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(f"{service.url}/")
    await page.evaluate("new Promise(resolve => setTimeout(resolve, 200))")  # browsers scroll late
    await expect(page.get_by_role("link", name="00.jpg")).to_be_focused()
    await expect(page.get_by_role("link", name="00.jpg")).to_be_in_viewport()


@pytest.mark.parametrize("address", ["00000000-0000-0000-0000-000000000000", "nothing", "%"])
async def test_an_address_of_no_image_shows_a_notice(
    service: Service, open_page: OpenPage, address: str
) -> None:
    page = await open_page(f"{service.url}/#{address}")
    notice = page.get_by_role("dialog", name="This picture cannot be shown")
    await expect(notice).to_be_visible()
    await notice.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(f"{service.url}/")


@pytest.mark.parametrize("width", [375, 1440])
async def test_an_image_moves_neither_when_its_thumbnail_nor_when_its_file_comes(
    service: Service, open_page: OpenPage, width: int
) -> None:
    image = upload(service, samples.jpeg(1200, 900))
    page = await open_page(f"{service.url}/docs", viewport={"width": width, "height": 800})
    held = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/file", answer_late)
    await page.goto(f"{service.url}/#{image['id']}")
    place = page.get_by_role("dialog").locator(".image")
    await expect(place).to_be_visible()
    before = await place.bounding_box()
    held.set()
    await expect(place.locator("img")).to_have_js_property("naturalWidth", 1200)
    assert before
    assert await place.bounding_box() == before
    assert before["width"] / before["height"] == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("width", [375, 1440])
async def test_nothing_lies_over_the_middle_of_an_image(
    service: Service, open_page: OpenPage, width: int
) -> None:
    upload(service, JPEG, "older.jpg")
    image = upload(service, samples.jpeg(3000, 2000), "newer.jpg")
    page = await open_page(
        f"{service.url}/#{image['id']}", viewport={"width": width, "height": 800}
    )
    img = page.get_by_role("dialog", name="newer.jpg").locator("img")
    await expect(img).to_have_js_property("naturalWidth", 3000)
    covered = """img => {
      const { left, top, width, height } = img.getBoundingClientRect();
      const places = [0.01, 0.25, 0.5, 0.75, 0.99];
      return places.flatMap((x) => places.map((y) => [left + x * width, top + y * height]))
        .filter(([x, y]) => document.elementFromPoint(x, y) !== img);
    }"""
    assert await img.evaluate(covered) == []
