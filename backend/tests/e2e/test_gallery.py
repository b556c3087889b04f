"""Stored images: browse, open, share, delete."""

import asyncio
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OPTIONS, OpenPage, shown
from testkit.programs import needs_chromium
from testkit.service import (
    IMAGES,
    Service,
    StartService,
    delete,
    listed_names,
    storage_unavailable,
    stored_files,
    upload,
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
MANY = 300


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


async def test_the_viewer_shows_size_type_dimensions_and_local_time(
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
    assert facts == {"Type": "JPEG", "Dimensions": "64 \u00d7 48 pixels"}
    async with page.expect_download() as download:
        await viewer.get_by_text("Download").click()
    assert (await download.value).suggested_filename == "holiday.jpg"


async def test_a_downloaded_name_ends_in_the_type_of_its_bytes(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service, JPEG, "holiday.png")
    page = await open_page(f"{service.url}/#{image['id']}")
    async with page.expect_download() as download:
        await page.get_by_role("dialog", name="holiday.png").get_by_text("Download").click()
    assert (await download.value).suggested_filename == "holiday.jpg"


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


async def test_a_slow_delete_leaves_another_image_open(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "kept.jpg")
    upload(service, JPEG, "unloved.jpg")
    page = await open_page(service.url)
    answered = asyncio.Event()

    async def answer_late(route: Route) -> None:
        if route.request.method == "DELETE":
            await answered.wait()
        await route.continue_()

    await page.route(f"**{IMAGES}/*", answer_late)
    await page.locator('img[alt="unloved.jpg"]').click()
    await page.locator("text=Delete").click()
    await page.locator("text=Confirm").click()
    await expect(page.get_by_role("button", name="Confirm")).to_have_count(0)
    await page.keyboard.press("ArrowRight")
    viewer = page.get_by_role("dialog", name="kept.jpg")
    await expect(viewer).to_be_visible()
    answered.set()
    await expect(viewer.get_by_text("Picture removed")).to_be_visible()
    await expect(viewer.get_by_label("Newer picture")).to_have_attribute("aria-disabled", "true")
    assert listed_names(service) == ["kept.jpg"]


async def test_an_arrow_key_pressed_while_a_confirmation_closes_is_handled(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "older.jpg")
    upload(service, JPEG, "newer.jpg")
    page = await open_page(service.url)
    await page.locator('img[alt="newer.jpg"]').click()
    await page.locator("text=Delete").click()
    await page.get_by_role("button", name="Confirm").evaluate(
        """button => {
            button.click();
            dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
        }"""
    )
    await expect(page.get_by_role("dialog", name="older.jpg")).to_be_visible()


async def test_going_back_closes_the_confirmation_too(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "kept.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery img").click()
    await page.locator("text=Delete").click()
    await expect(page.get_by_role("button", name="Confirm")).to_be_visible()
    await page.evaluate("history.back()")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("link", name="kept.jpg")).to_be_focused()
    assert listed_names(service) == ["kept.jpg"]


async def test_a_double_click_leaves_a_dialog_open(service: Service, open_page: OpenPage) -> None:
    upload(service, JPEG, "kept.jpg")
    page = await open_page(service.url)
    await page.get_by_role("button", name="Upload").dblclick(delay=50)
    await expect(page.get_by_label("Choose file")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await page.locator("#gallery img").click()
    await page.locator("text=Delete").dblclick(delay=50)
    await expect(page.get_by_role("button", name="Confirm")).to_be_visible()


async def test_the_outcome_of_a_click_is_visible_on_a_small_phone(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "IMG_20260102_123311.jpg")
    page = await open_page(service.url, viewport={"width": 360, "height": 640})
    await page.locator("#gallery img").click()
    await page.get_by_role("button", name="Copy link").click()
    await expect(page.locator("dialog").get_by_role("status")).to_be_in_viewport(ratio=1)


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


async def test_copying_html_loads_nothing_from_the_public_url(
    start_service: StartService, open_page: OpenPage, tmp_path: Path
) -> None:
    settings = "PUBLIC_URL=http://pictures.test"
    service = start_service(settings, data_dir=tmp_path / "data").wait_until_it_serves()
    url = upload(service, JPEG)["url"]
    assert url.startswith("http://pictures.test/")
    page = await open_page(service.url, permissions=["clipboard-read", "clipboard-write"])
    await page.locator("#gallery img").click()
    await page.get_by_role("button", name="Copy HTML").click()
    await expect(page.get_by_text("HTML copied")).to_be_visible()
    assert url in await page.evaluate("navigator.clipboard.readText()")


async def test_a_copy_that_the_browser_blocks_shows_a_message(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG)
    page = await open_page(service.url)
    await page.evaluate(
        """() => {
          document.execCommand = () => false;
          navigator.clipboard.writeText = () => Promise.reject(new Error("forbidden"));
        }"""
    )
    await page.locator("#gallery img").click()
    button = page.get_by_role("button", name="Copy link")
    await button.click()
    await expect(page.get_by_text("The browser blocked copying.")).to_be_visible()
    await expect(button).to_be_focused()


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


@pytest.mark.parametrize("address", ["00000000-0000-0000-0000-000000000000", "nothing", "%"])
async def test_an_address_of_no_image_shows_a_notice(
    service: Service, open_page: OpenPage, address: str
) -> None:
    page = await open_page(f"{service.url}/#{address}")
    notice = page.get_by_role("dialog", name="This picture cannot be shown")
    await expect(notice).to_be_visible()
    await notice.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(f"{service.url}/")


async def test_links_are_copied_plain_as_markdown_and_as_html(
    service: Service, open_page: OpenPage
) -> None:
    url = upload(service, JPEG, "a [b] & c.jpg")["url"]
    page = await open_page(service.url, permissions=["clipboard-read", "clipboard-write"])
    await page.locator("#gallery img").click()
    for name, text in {
        "Copy link": url,
        "Copy Markdown": rf"![a \[b\] \& c.jpg]({url})",
        "Copy HTML": f'<img src="{url}" alt="a [b] &amp; c.jpg">',
    }.items():
        await page.get_by_role("button", name=name).click()
        await expect(
            page.get_by_text(f"{name.removeprefix('Copy ').capitalize()} copied")
        ).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == text


async def test_delete_asks_for_confirmation_and_removes_the_image(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "kept.jpg")
    upload(service, JPEG, "unloved.jpg")
    page = await open_page(service.url)
    await page.locator('img[alt="unloved.jpg"]').click()
    await page.locator("text=Delete").click()
    await page.get_by_role("button", name="Cancel").click()
    assert listed_names(service) == ["unloved.jpg", "kept.jpg"]
    await expect(page.locator("text=Delete")).to_be_focused()
    await page.locator("text=Delete").click()
    await page.locator("text=Confirm").click()
    await expect(page.locator('img[alt="unloved.jpg"]')).to_have_count(0)
    await expect(page.locator('img[alt="kept.jpg"]')).to_be_visible()
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert listed_names(service) == ["kept.jpg"]
    assert len(stored_files(service)) == 1


async def test_deleting_an_image_that_is_already_gone_removes_its_tile(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service, JPEG)
    page = await open_page(service.url)
    await page.locator("#gallery img").click()
    delete(service, image)
    await page.locator("text=Delete").click()
    await page.locator("text=Confirm").click()
    await expect(page.get_by_text("No pictures yet")).to_be_visible()


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
    await page.context.set_offline(True)
    await page.mouse.wheel(0, 100_000)
    await expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    await page.locator("#gallery img").last.click()
    await page.get_by_label("Older picture").click()
    await expect(page.get_by_role("dialog").get_by_text("There is no connection")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.context.set_offline(False)  # loading resumes by itself
    names = set(await shown(page))
    async with asyncio.timeout(TIMEOUT):
        while len(names) < MANY:
            await page.mouse.wheel(0, 400)
            await asyncio.sleep(0.02)
            in_document = await shown(page)
            assert len(in_document) < 150, "rows far away leave the document"
            names.update(in_document)
    assert names == {f"{n}.png" for n in range(MANY)}
    await expect(page.locator("#loading")).to_be_hidden()
    shift = await page.evaluate(
        """() => new Promise((resolve) => {
          new PerformanceObserver((list) => {
            resolve(list.getEntries().reduce((sum, { value }) => sum + value, 0));
          }).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(0), 200);
        })"""
    )
    assert shift < 0.01


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>.png", '"><svg onload=alert(1)>.png']
)
async def test_a_file_name_that_is_html_is_shown_as_text(
    service: Service, open_page: OpenPage, name: str
) -> None:
    image = upload(service, JPEG, name)
    page = await open_page(service.url)
    await page.locator("#gallery img").click()
    await expect(page.get_by_role("dialog").locator("h2")).to_have_text(image["filename"])
    await page.locator("text=Delete").click()
    await expect(page.get_by_role("dialog").last).to_contain_text(image["filename"])
    assert await shown(page) == [image["filename"]]
    assert re.search("onerror|onload", image["filename"]), "the name kept what makes it hostile"
    assert await page.locator("img").count() == 2
