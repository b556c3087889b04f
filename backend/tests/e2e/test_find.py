"""The search: words, type and days, in the header and in the address."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from testkit import samples
from testkit.page import OpenPage, all_loaded
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG, PNG = samples.jpeg(640, 480), samples.png()
PHONE = {"width": 375, "height": 812}


async def search(page: Page, words: str) -> None:
    await page.get_by_label("Search pictures").fill(words)


async def finds(page: Page, *names: str) -> None:
    """Wait until the gallery shows these images and no others."""
    await expect(page.locator("#gallery img")).to_have_count(len(names))
    for name in names:
        await expect(page.locator(f'#gallery img[alt="{name}"]')).to_have_count(1)


@pytest.fixture
def pictures(service: Service) -> None:
    for name in ("black cat.jpg", "Katze im Schnee.jpg", "写真と猫.jpg"):
        upload(service, JPEG, name)
    upload(service, PNG, "cat on a roof.png")


@pytest.mark.usefixtures("pictures")
async def test_a_search_shows_what_it_finds_and_says_how_many(page: Page) -> None:
    await search(page, "cat")
    await finds(page, "black cat.jpg", "cat on a roof.png")
    await expect(page.get_by_role("status").filter(has_text="2 pictures found")).to_be_visible()
    await search(page, "cat bl")
    await finds(page, "black cat.jpg")
    await expect(page.get_by_role("status").filter(has_text="1 picture found")).to_be_visible()
    await search(page, "猫")
    await finds(page, "写真と猫.jpg")


@pytest.mark.usefixtures("pictures")
async def test_filters_are_chips_that_can_be_removed(page: Page) -> None:
    await search(page, "cat")
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_label("Type").select_option("PNG")
    await page.get_by_label("Added from").fill("2026-01-01")
    await finds(page, "cat on a roof.png")
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("Type")).to_be_hidden()
    chips = page.get_by_role("button", name="Remove ")
    await expect(chips).to_have_text(["“cat”", "PNG", "From 1 Jan 2026"])
    await page.get_by_role("button", name="Remove PNG").click()
    await finds(page, "black cat.jpg", "cat on a roof.png")
    await expect(page.get_by_role("button", name="Remove “cat”")).to_be_focused()
    await page.get_by_role("button", name="Remove “cat”").click()
    await finds(page, "black cat.jpg", "cat on a roof.png", "Katze im Schnee.jpg", "写真と猫.jpg")
    await expect(page.get_by_label("Search pictures")).to_have_value("")


@pytest.mark.usefixtures("pictures")
async def test_days_are_those_of_the_reader(page: Page) -> None:
    """The page's time zone is Asia/Kolkata."""
    async with page.expect_request(f"**{IMAGES}?*from=*") as asked:
        await page.get_by_role("button", name="Filters").click()
        await page.get_by_label("Added from").fill("2026-11-01")
    assert "from=2026-10-31T18%3A30%3A00.000Z" in (await asked.value).url
    async with page.expect_request(f"**{IMAGES}?*to=*") as asked:
        await page.get_by_label("Added until").fill("2026-11-30")
    assert "to=2026-11-30T18%3A30%3A00.000Z" in (await asked.value).url


@pytest.mark.usefixtures("pictures")
async def test_the_address_keeps_the_search_and_can_be_shared(
    page: Page, service: Service, open_page: OpenPage
) -> None:
    await search(page, "cat")
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_label("Type").select_option("PNG")
    await finds(page, "cat on a roof.png")
    await expect(page).to_have_url(f"{service.url}/?q=cat&type=image/png")
    other = await open_page(page.url)
    await finds(other, "cat on a roof.png")
    await expect(other.get_by_label("Search pictures")).to_have_value("cat")
    await expect(other.get_by_role("button", name="Remove PNG")).to_be_visible()


@pytest.mark.usefixtures("pictures")
async def test_back_and_forward_lead_through_searches_and_open_images(
    page: Page, service: Service
) -> None:
    field = page.get_by_label("Search pictures")
    await field.press_sequentially("black", delay=20)
    await finds(page, "black cat.jpg")
    await field.press("Enter")
    await field.fill("katze")
    await finds(page, "Katze im Schnee.jpg")
    await page.locator("#gallery img").click()
    viewer = page.get_by_role("dialog", name="Katze im Schnee.jpg")
    await expect(viewer).to_be_visible()
    await expect(page).to_have_url(re.compile(r"/\?q=katze#[0-9a-f-]+$"))
    await page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)
    await expect(page).to_have_url(f"{service.url}/?q=katze")
    await page.evaluate("history.back()")
    await finds(page, "black cat.jpg")
    await expect(field).to_have_value("black")
    await page.evaluate("history.back()")
    await expect(page).to_have_url(f"{service.url}/")
    await expect(page.locator("#gallery img")).to_have_count(4)
    await expect(field).to_have_value("")
    await page.evaluate("history.forward()")
    await finds(page, "black cat.jpg")
    await page.evaluate("history.forward()")
    await finds(page, "Katze im Schnee.jpg")


@pytest.mark.usefixtures("pictures")
async def test_a_search_that_finds_nothing_says_so_and_can_be_cleared(page: Page) -> None:
    await search(page, "zebra")
    await expect(page.get_by_text("No picture found")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="No matches")).to_be_visible()
    await expect(page.get_by_text("No pictures yet")).to_be_hidden()
    await page.get_by_role("button", name="Clear search").click()
    await expect(page.get_by_text("No picture found")).to_be_hidden()
    await expect(page.locator("#gallery img")).to_have_count(4)
    await expect(page.get_by_label("Search pictures")).to_be_focused()


@pytest.mark.usefixtures("pictures")
async def test_a_slow_answer_to_an_earlier_search_is_not_shown(page: Page) -> None:
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    await page.route(f"**{IMAGES}?q=kat*", hold)
    await search(page, "kat")
    await expect(page).to_have_url(re.compile("q=kat$"))
    await search(page, "roof")
    await finds(page, "cat on a roof.png")
    for route in late:
        await route.continue_()
    await page.unroute_all(behavior="wait")
    await finds(page, "cat on a roof.png")


async def test_a_search_without_words_is_refused_in_words(page: Page) -> None:
    await search(page, "…!?")
    sentence = "Search for at least one letter, digit or emoji."
    await expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
    await search(page, "")
    await expect(page.get_by_text("No pictures yet")).to_be_visible()
    await expect(page.get_by_text(sentence)).to_be_hidden()


@pytest.mark.usefixtures("pictures")
async def test_escape_clears_the_field_and_then_leaves_it(page: Page) -> None:
    field = page.get_by_label("Search pictures")
    await search(page, "cat")
    await finds(page, "black cat.jpg", "cat on a roof.png")
    await field.press("Escape")
    await expect(field).to_have_value("")
    await expect(page.locator("#gallery img")).to_have_count(4)
    await field.press("Escape")
    await expect(field).not_to_be_focused()


@pytest.mark.usefixtures("pictures")
async def test_on_a_phone_the_search_is_behind_an_icon(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url, viewport=PHONE, has_touch=True)
    await all_loaded(page)
    await expect(page.locator("#gallery img")).to_have_count(4)
    field = page.get_by_label("Search pictures")
    closed = await field.bounding_box()
    assert closed
    assert 44 <= closed["width"] <= 48
    assert closed["height"] >= 44
    await expect(page.get_by_role("button", name="Filters")).to_be_hidden()
    await field.tap()
    await expect(field).to_be_focused()
    opened = await field.bounding_box()
    assert opened
    assert opened["width"] > 300
    await field.fill("roof")
    await field.press("Enter")
    await finds(page, "cat on a roof.png")
    await expect(page.get_by_role("button", name="Upload")).to_be_visible()
    await expect(page.get_by_role("button", name="Remove “roof”")).to_be_in_viewport(ratio=1)
