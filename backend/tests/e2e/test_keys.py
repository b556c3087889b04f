"""Keys: what they do, where, and that `?` shows them."""

import pytest
from playwright.async_api import Page, expect

from testkit import samples
from testkit.page import OpenPage, all_loaded
from testkit.programs import needs_chromium
from testkit.service import Service, listed_names, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
NAMES = ["3.jpg", "2.jpg", "1.jpg"]
LABEL = "Search pictures"


@pytest.fixture(autouse=True)
def _images(service: Service) -> None:
    for name in reversed(NAMES):
        upload(service, JPEG, name)


async def open_with_keys(open_page: OpenPage, service: Service) -> Page:
    page = await open_page(service.url)
    await all_loaded(page)
    await expect(page.locator("#gallery img")).to_have_count(3)
    return page


async def test_arrows_home_and_end_lead_through_the_gallery_and_enter_opens(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_with_keys(open_page, service)
    await page.get_by_role("link", name="3.jpg").focus()
    for key, name in {
        "ArrowRight": "2.jpg",
        "ArrowLeft": "3.jpg",
        "End": "1.jpg",
        "Home": "3.jpg",
    }.items():
        await page.keyboard.press(key)
        await expect(page.get_by_role("link", name=name)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="3.jpg")).to_be_visible()


async def test_delete_asks_for_the_focused_image(service: Service, open_page: OpenPage) -> None:
    page = await open_with_keys(open_page, service)
    await page.get_by_role("link", name="2.jpg").focus()
    await page.keyboard.press("Delete")
    await expect(page.get_by_role("dialog")).to_contain_text("2.jpg")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("Picture removed")).to_be_visible()
    await expect(page.get_by_role("link", name="1.jpg")).to_be_focused()
    assert listed_names(service) == ["3.jpg", "1.jpg"]


async def test_a_slash_searches_and_u_adds(service: Service, open_page: OpenPage) -> None:
    page = await open_with_keys(open_page, service)
    await page.keyboard.press("/")
    await expect(page.get_by_label(LABEL)).to_be_focused()
    await expect(page.get_by_label(LABEL)).to_have_value("")
    await page.keyboard.press("Escape")
    await page.keyboard.press("u")
    await expect(page.get_by_role("dialog", name="Add pictures")).to_be_visible()


async def test_keys_do_nothing_while_somebody_types_or_a_dialog_is_open(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_with_keys(open_page, service)
    await page.keyboard.press("/")
    await expect(page.get_by_label(LABEL)).to_be_focused()
    await page.keyboard.type("u?x/")
    await expect(page.get_by_label(LABEL)).to_have_value("u?x/")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await page.keyboard.press("u")
    await expect(page.get_by_role("dialog", name="Add pictures")).to_be_visible()
    for key in ("?", "/", "Delete", "u"):
        await page.keyboard.press(key)
    await expect(page.get_by_role("dialog")).to_have_count(1)
    await expect(page.get_by_label(LABEL)).not_to_be_focused()


async def test_keys_of_the_browser_stay_the_browsers(service: Service, open_page: OpenPage) -> None:
    page = await open_with_keys(open_page, service)
    await page.get_by_role("link", name="3.jpg").focus()
    for key in ("Control+u", "Alt+x", "Control+Delete", "Meta+/"):
        prevented = await page.evaluate(
            """(name) => {
              const [modifier, key] = name.split("+");
              const event = new KeyboardEvent("keydown", {
                key, bubbles: true, cancelable: true,
                [`${modifier.toLowerCase().replace("control", "ctrl")}Key`]: true,
              });
              document.activeElement.dispatchEvent(event);
              return event.defaultPrevented;
            }""",
            key,
        )
        assert not prevented, key
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_a_question_mark_shows_every_key(service: Service, open_page: OpenPage) -> None:
    page = await open_with_keys(open_page, service)
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    await expect(dialog).to_be_visible()
    shown = " ".join(await dialog.locator("kbd").all_inner_texts()).split()
    for key in ("←", "→", "↑", "↓", "Home", "End", "Enter", "Delete", "/", "u", "Esc", "?", "x"):
        assert key in shown, key
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
