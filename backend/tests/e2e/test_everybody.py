"""Accessibility: keyboard, screen reader, small screens, light and dark."""

from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import FileChooser, Page, expect

from testkit import samples
from testkit.format_samples import named
from testkit.page import OpenPage, a_file, all_loaded, choose
from testkit.programs import needs_chromium
from testkit.service import Service, listed_names, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
PHONE = {"width": 320, "height": 568}
Check = Callable[[str], Awaitable[None]]


async def show_what_the_viewer_hides(page: Page, check: Check) -> None:
    await page.get_by_role("button", name="Copy").click()
    await expect(page.get_by_role("menu")).to_be_visible()
    await check("menu")
    await page.get_by_role("menuitem", name="Link", exact=True).click()
    await page.get_by_role("button", name="Details").click()
    await check("details")
    await page.get_by_role("button", name="Details").click()


async def show_searches(page: Page, check: Check) -> None:
    field = page.get_by_label("Search pictures")
    await field.fill("photograph")
    await expect(page.get_by_text("1 picture found")).to_be_visible()
    await check("found")
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_label("Type").select_option("PNG")
    await expect(page.get_by_text("No picture found")).to_be_visible()
    await check("filters")
    await page.keyboard.press("Escape")
    await check("unfound")
    await page.get_by_role("button", name="Clear search").click()
    await expect(page.locator("#gallery img")).to_have_count(2)


async def show_selection(page: Page, check: Check) -> None:
    await page.get_by_label("Select a-photograph").check()
    await page.get_by_role("button", name="Select all 2").click()
    await expect(page.get_by_text("2 selected")).to_be_visible()
    await check("selection")
    await page.get_by_role("button", name="Copy links").click()
    await expect(page.get_by_role("menu")).to_be_visible()
    await check("links")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("dialog", name="Delete 2 pictures?")).to_be_visible()
    await check("confirmations")
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Clear selection").click()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await check("keys")
    await page.keyboard.press("Escape")


async def show_failures(page: Page, check: Check) -> None:
    """What the service answers if it has a key, or meets a defect."""
    problem = {
        "json": {"detail": "The service met an unexpected error."},
        "content_type": "application/problem+json",
    }
    await page.route("**/api/v1/images?*", lambda route: route.fulfill(status=500, **problem))
    await page.reload()
    await expect(page.get_by_role("alert")).to_be_visible()
    await check("failure")
    await page.unroute("**/api/v1/images?*")
    await page.route("**/api/v1/images?*", lambda route: route.fulfill(status=401, **problem))
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    await check("key")


async def show_each_state(page: Page, service: Service, check: Check) -> None:
    """Bring the page into each of its main states, and check it there."""
    await all_loaded(page)
    await expect(page.get_by_text("No pictures yet")).to_be_visible()
    await check("empty")
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_role("dialog", name="Add pictures")).to_be_visible()
    await check("choosing")
    await page.keyboard.press("Escape")
    long_name = "a-photograph-with-a-name-that-is-longer-than-any-phone-is-wide.jpg"
    heic = a_file("IMG_0001.HEIC", named("heic plain").content)
    await choose(page, a_file(long_name, JPEG), a_file("notes.txt", b"no image"), heic)
    await expect(page.get_by_text("3 of 3 done")).to_be_visible()
    await check("transfers")
    await page.get_by_role("button", name="Send with its data").click()
    await expect(page.locator("#gallery img")).to_have_count(2)
    await page.get_by_role("button", name="Close the list").click()
    await check("gallery")
    await page.get_by_role("button", name="Use a key").click()
    await expect(page.get_by_role("dialog", name="Use your key")).to_be_visible()
    await check("own key")
    await page.keyboard.press("Escape")
    await show_searches(page, check)
    await show_selection(page, check)
    await page.locator("#gallery img").first.click()
    await expect(page.get_by_text("Your browser cannot show this HEIC file.")).to_be_visible()
    await check("unshown")
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name=long_name)).to_be_visible()
    await check("viewer")
    await show_what_the_viewer_hides(page, check)
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("button", name="Confirm")).to_be_visible()
    await check("confirmation")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(f"{service.url}/")
    await page.goto(f"{service.url}/#nothing")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await check("notice")
    await page.keyboard.press("Escape")
    await expect(page).to_have_url(f"{service.url}/")
    await show_failures(page, check)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_violation_in_any_state(
    service: Service, open_page: OpenPage, scheme: Literal["light", "dark"]
) -> None:
    page = await open_page(service.url, color_scheme=scheme)
    found: dict[str, list[str]] = {}

    async def look(state: str) -> None:
        result = await Axe().run(page)
        found[state] = [
            f"{violation['id']}: {[node['html'] for node in violation['nodes']]}"
            for violation in result.response["violations"]
        ]

    await show_each_state(page, service, look)
    assert len(found) == 20
    assert not any(found.values()), found


async def test_nothing_is_wider_than_a_narrow_screen(service: Service, open_page: OpenPage) -> None:
    page = await open_page(service.url, viewport=PHONE)
    too_wide = """() => [...document.querySelectorAll("body *")]
      .map((element) => [element, element.getBoundingClientRect()])
      .filter(([element, box]) => box.width && !element.matches(".name, .unseen")
        && (box.right > innerWidth || box.left < 0))
      .map(([element]) => element.outerHTML.slice(0, 80))"""

    async def look(state: str) -> None:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320, state
        assert await page.evaluate(too_wide) == [], state

    await show_each_state(page, service, look)


async def test_everything_can_be_done_with_the_keyboard_alone(page: Page, service: Service) -> None:
    async def pick(chooser: FileChooser) -> None:
        await chooser.set_files([a_file("newer.jpg", JPEG)])

    page.on("filechooser", pick)
    upload(service, JPEG, "older.jpg")
    await page.reload()
    await all_loaded(page)
    await expect(page.locator("#gallery img")).to_have_count(1)

    async def tab_to(name: str) -> None:
        focused = page.locator(":focus")
        for _ in range(20):
            await page.keyboard.press("Tab")
            label = "e => e.ariaLabel || e.innerText || e.querySelector('img')?.alt || e.id"
            if await focused.count() and await focused.evaluate(label) == name:
                return
        raise AssertionError(f"Tab does not reach {name}")

    await tab_to("Upload")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Choose file")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Choose file")).not_to_have_value("")
    await tab_to("Submit")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    await expect(page.get_by_role("button", name="Upload")).to_be_focused()
    await expect(page.locator("#gallery img")).to_have_count(2)  # which may wait for its preview
    await tab_to("older.jpg")  # Tab reaches one tile, and arrows the others
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("link", name="newer.jpg")).to_be_focused()
    await page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog")
    await expect(viewer.get_by_role("button", name="Close")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(viewer).to_contain_text("older.jpg")
    for _ in range(20):  # round and round, and never out of the dialog
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement === document.body"
            " || document.querySelector('dialog').contains(document.activeElement)"
        )
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("link", name="older.jpg")).to_be_focused()
    await page.keyboard.press("Enter")
    await tab_to("Delete")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    await tab_to("Confirm")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="newer.jpg")).to_be_focused()
    assert listed_names(service) == ["newer.jpg"]


async def test_outcomes_are_announced_to_screen_readers(page: Page, service: Service) -> None:
    await page.evaluate(
        """() => {
          window.spoken = [];
          new MutationObserver((changes) => {
            for (const { target } of changes) {
              const node = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
              const region = node?.closest("[role=status], [role=alert], [aria-live=polite]");
              if (region?.textContent) window.spoken.push(region.textContent.trim());
            }
          }).observe(document, { subtree: true, childList: true, characterData: true });
        }"""
    )
    await choose(page, a_file("heard.jpg", JPEG), a_file("notes.txt", b"no image"))
    await expect(page.get_by_text("2 of 2 done")).to_be_visible()
    await page.locator("#gallery img").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("Picture removed")).to_be_visible()
    spoken = await page.evaluate("window.spoken")
    assert "1 added, 1 failed" in spoken
    assert "Picture removed" in spoken
