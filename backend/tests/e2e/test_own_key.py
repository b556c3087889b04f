"""Where no key is needed, somebody who has one uses it: images and quota are theirs then."""

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage, a_file, choose, shown
from testkit.programs import needs_chromium
from testkit.service import Service, run_beside, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
EMAIL = "ada@example.org"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def key(_open_service: Service) -> str:
    """Return the key of a user who has no images yet."""
    run_beside(_open_service, "users", "add", EMAIL)
    return run_beside(_open_service, "keys", "create", EMAIL)[-1]


async def use(page: Page, key: str) -> None:
    """Enter a key, by the words that a person reads."""
    await page.get_by_role("button", name="Use a key").click()
    await page.get_by_role("dialog", name="Use your key").get_by_label("API key").fill(key)
    await page.keyboard.press("Enter")


async def test_with_a_key_one_sees_and_adds_ones_own_images_until_one_stops_using_it(
    service: Service, open_page: OpenPage, key: str
) -> None:
    upload(service, JPEG, "nobodys.jpg")
    page = await open_page(service.url)
    await expect(page.locator('img[alt="nobodys.jpg"]')).to_be_visible()
    await use(page, key)
    await expect(page.get_by_text("No pictures yet")).to_be_visible()
    await choose(page, a_file("mine.jpg", JPEG))
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    async with httpx.AsyncClient(base_url=service.url, timeout=TIMEOUT) as client:
        me = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {key}"})
    assert me.json()["user"]["used_images"] == 1

    await page.reload()
    await expect(page.locator('img[alt="mine.jpg"]')).to_be_visible()
    assert await shown(page) == ["mine.jpg"]
    await page.get_by_role("button", name="Your key").click()
    await expect(page.get_by_role("dialog", name="You use a key")).to_be_visible()
    assert (await Axe().run(page)).response["violations"] == []
    await page.get_by_role("button", name="Stop using it").click()
    await expect(page.locator("#gallery img")).to_have_count(2)
    await expect(page.get_by_role("button", name="Use a key")).to_be_focused()
    assert await page.evaluate("[sessionStorage.apiKey, localStorage.length]") == ["", 0]


async def test_a_wrong_key_is_said_to_be_wrong_and_left_for_none(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "nobodys.jpg")
    page = await open_page(service.url)
    await use(page, "wrong")
    dialog = page.get_by_role("dialog", name="Use your key")
    await expect(dialog.get_by_text("That key is wrong.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator('img[alt="nobodys.jpg"]')).to_be_visible()
    await expect(page.get_by_role("button", name="Use a key")).to_be_visible()


async def test_without_an_answer_to_the_question_all_stays_as_it_is(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "nobodys.jpg")
    page = await open_page(service.url)
    await page.get_by_role("button", name="Use a key").click()
    await expect(page.get_by_role("button", name="Stop using it")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await shown(page) == ["nobodys.jpg"]
