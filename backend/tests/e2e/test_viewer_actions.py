"""What can be done with an open image: download, copy, rename, delete."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Route, expect

from testkit import samples
from testkit.page import OpenPage, shown
from testkit.programs import needs_chromium
from testkit.service import (
    IMAGES,
    Service,
    StartService,
    delete,
    listed_names,
    stored_files,
    upload,
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
CLIPBOARD = ["clipboard-read", "clipboard-write"]


async def copy(page: Page, name: str) -> Locator:
    """Choose what is to be copied from the menu, and return the menu's button."""
    button = page.get_by_role("button", name="Copy")
    await button.click()
    await page.get_by_role("menuitem", name=name, exact=True).click()
    return button


async def test_a_downloaded_name_ends_in_the_type_of_its_bytes(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service, JPEG, "holiday.png")
    page = await open_page(f"{service.url}/#{image['id']}")
    async with page.expect_download() as download:
        await page.get_by_role("dialog", name="holiday.png").get_by_text("Download").click()
    assert (await download.value).suggested_filename == "holiday.jpg"


async def test_links_are_copied_plain_and_within_the_texts_that_other_programs_show(
    start_service: StartService, open_page: OpenPage, tmp_path: Path
) -> None:
    service = start_service("WORKER_PROCESSES=0", data_dir=tmp_path / "data")
    image = upload(service.wait_until_it_serves(), JPEG, "a [b] & c.jpg")
    url = image["url"]
    page = await open_page(service.url, permissions=CLIPBOARD)
    await page.locator("#gallery img").click()
    for name, text in {
        "Link": url,
        "Markdown": rf"![a \[b\] \& c.jpg]({url})",
        "HTML": f'<img src="{url}" alt="a [b] &amp; c.jpg">',
        "BBCode": f"[img]{url}[/img]",
        "Thumbnail link": image["thumbnails"]["300"]["url"],
    }.items():
        button = await copy(page, name)
        await expect(page.get_by_text(f"{name} copied")).to_be_visible()
        await expect(button).to_be_focused()
        assert await page.evaluate("navigator.clipboard.readText()") == text
    service.stop()


async def test_the_menu_is_used_with_the_keyboard_and_closes_before_the_viewer(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "older.jpg")
    upload(service, JPEG, "newer.jpg")
    page = await open_page(service.url, permissions=CLIPBOARD)
    await page.locator('img[alt="newer.jpg"]').click()
    button = page.get_by_role("button", name="Copy")
    menu = page.get_by_role("menu")
    await button.focus()
    for key, name in {
        "ArrowDown": "Link",
        "ArrowUp": "BBCode",  # there is no thumbnail here
        "Home": "Link",
        "End": "BBCode",
        "PageDown": "BBCode",
    }.items():
        await page.keyboard.press(key)
        await expect(menu.get_by_role("menuitem", name=name, exact=True)).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "true")
    await expect(menu.get_by_role("menuitem")).to_have_text(["Link", "Markdown", "HTML", "BBCode"])
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="newer.jpg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(menu).to_have_count(0)
    await expect(button).to_be_focused()
    await expect(button).to_have_attribute("aria-expanded", "false")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("BBCode copied")).to_be_visible()
    await button.click()
    await page.locator("dialog img").click()
    await expect(menu).to_have_count(0)
    await expect(page.get_by_role("dialog", name="newer.jpg")).to_be_visible()


async def test_an_image_is_renamed_in_its_details(service: Service, open_page: OpenPage) -> None:
    upload(service, JPEG, "IMG_2041.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery img").click()
    field = page.get_by_label("Name", exact=True)
    await field.fill("ignored")
    await page.keyboard.type(" 01+-i")  # no keys of the viewer
    await page.keyboard.press("Escape")
    await expect(field).to_have_value("IMG_2041.jpg")
    await field.fill("Walk by the river.jpg")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Walk by the river.jpg")).to_be_visible()
    await expect(page.get_by_text("Name changed")).to_be_visible()
    assert listed_names(service) == ["Walk by the river.jpg"]
    await field.fill("Walk.jpg")
    await page.get_by_role("button", name="Copy").focus()
    await expect(page.get_by_role("dialog", name="Walk.jpg")).to_be_visible()
    assert listed_names(service) == ["Walk.jpg"]
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("link", name="Walk.jpg")).to_be_focused()


async def test_a_name_that_the_service_refuses_stays_in_its_field_with_the_reason(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "IMG_2041.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery img").click()
    field = page.get_by_label("Name", exact=True)
    await field.fill("///")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog").get_by_role("alert")).not_to_be_empty()
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_value("///")
    assert listed_names(service) == ["IMG_2041.jpg"]


async def test_copying_html_loads_nothing_from_the_public_url(
    start_service: StartService, open_page: OpenPage, tmp_path: Path
) -> None:
    settings = "PUBLIC_URL=http://pictures.test"
    service = start_service(settings, data_dir=tmp_path / "data").wait_until_it_serves()
    url = upload(service, JPEG)["url"]
    assert url.startswith("http://pictures.test/")
    page = await open_page(service.url, permissions=CLIPBOARD)
    await page.locator("#gallery img").click()
    await copy(page, "HTML")
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
    button = await copy(page, "Link")
    await expect(page.get_by_text("The browser blocked copying.")).to_be_visible()
    await expect(button).to_be_focused()


async def test_the_outcome_of_a_click_is_visible_on_a_small_phone(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "IMG_20260102_123311.jpg")
    page = await open_page(service.url, viewport={"width": 360, "height": 640})
    await page.locator("#gallery img").click()
    await copy(page, "Link")
    await expect(page.locator("dialog").get_by_role("status")).to_be_in_viewport(ratio=1)


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
