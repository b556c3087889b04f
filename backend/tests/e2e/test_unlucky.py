"""What happens at an unlucky moment: answers out of order, a connection lost while it loads."""

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from testkit import samples
from testkit.page import OpenPage, a_file, choose, shown
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, delete, listed_names, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)


async def test_an_upload_that_a_search_does_not_find_is_not_among_what_it_has_found(
    page: Page, service: Service
) -> None:
    await page.get_by_label("Search pictures").fill("cat")
    await expect(page.get_by_text("No picture found")).to_be_visible()
    await choose(page, a_file("dog.jpg", JPEG), a_file("cat.jpg", JPEG))
    await expect(page.get_by_text("2 added").first).to_be_visible()
    await expect(page.locator('#gallery img[alt="cat.jpg"]')).to_be_visible()
    assert await shown(page) == ["cat.jpg"]
    assert sorted(listed_names(service)) == ["cat.jpg", "dog.jpg"]


async def test_a_connection_lost_while_the_page_loads_is_said_and_leaves_what_there_is_alive(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "a.jpg")
    page = await open_page(f"{service.url}/docs")
    await page.route("**/api/**", lambda route: route.abort())
    await page.route("**/assets/*/*", break_later)
    await page.goto(service.url)
    await expect(page.get_by_text("There is no connection")).to_be_visible()
    await page.unroute("**/api/**")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#gallery a")).to_have_count(1)
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_text("reload the page")).to_be_visible()


async def break_later(route: Route) -> None:
    """Break what is loaded after the first screen."""
    name = route.request.url.rpartition("/")[2]
    if name.partition(".")[0] in ("uploads", "later", "viewer", "find", "actions", "words", "live"):
        await route.abort()
    else:
        await route.continue_()


async def test_two_clicks_before_the_dialog_is_there_open_one(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(f"{service.url}/docs")
    go_on = asyncio.Event()

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/uploads.js", hold)
    await page.goto(service.url)
    await page.get_by_role("button", name="Upload").dblclick()
    go_on.set()
    await expect(page.get_by_role("dialog")).to_have_count(1)
    await page.get_by_label("Choose file").set_input_files(a_file("a.jpg", JPEG))
    await expect(page.get_by_text("1 picture,")).to_be_visible()


async def test_a_box_clicked_before_selecting_is_loaded_selects(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "a.jpg")
    page = await open_page(f"{service.url}/docs")
    go_on = asyncio.Event()

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route("**/selecting.js", hold)
    await page.goto(service.url)
    await page.locator("#gallery li").hover()
    await page.locator("#gallery input").check()
    go_on.set()
    await expect(page.get_by_text("1 selected")).to_be_visible()
    await expect(page.locator("#gallery input")).to_be_checked()


async def test_the_failure_of_an_earlier_search_is_not_shown(page: Page, service: Service) -> None:
    upload(service, JPEG, "cat.jpg")
    upload(service, JPEG, "dog.jpg")
    go_on = asyncio.Event()

    async def hold(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await page.route(f"**{IMAGES}?q=%21&*", hold)
    async with page.expect_request(f"**{IMAGES}?q=%21&*") as asked:
        await page.get_by_label("Search pictures").fill("!")
    await asked.value
    await page.get_by_label("Search pictures").fill("cat")
    await expect(page.get_by_text("1 picture found")).to_be_visible()
    await page.locator("#failure").evaluate(
        """box => new MutationObserver(() => { box.title ||= box.hidden ? "" : "shown" })
          .observe(box, { attributes: true })"""
    )
    async with page.expect_response(f"**{IMAGES}?q=%21&*") as answered:
        go_on.set()
    await (await answered.value).finished()
    await page.get_by_label("Search pictures").fill("dog")
    await expect(page.locator('#gallery img[alt="dog.jpg"]')).to_be_visible()
    await expect(page.locator("#failure")).not_to_have_attribute("title", "shown")


async def test_going_back_renames_what_was_typed(service: Service, open_page: OpenPage) -> None:
    upload(service, JPEG, "a.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery a").click()
    await page.get_by_label("Name").fill("b.jpg")
    await page.go_back()
    await expect(page.get_by_text("Name changed")).to_be_visible()
    assert listed_names(service) == ["b.jpg"]


async def test_a_key_that_ends_a_composition_renames_nothing(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "a.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery a").click()
    name = page.get_by_label("Name")
    await name.fill("ねこ")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    await name.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    await name.dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    await expect(name).to_have_value("ねこ")
    assert "PATCH" not in asked


async def test_the_focus_goes_to_the_next_image_when_somebody_else_deletes_the_one_that_has_it(
    service: Service, open_page: OpenPage
) -> None:
    images = [upload(service, JPEG, f"{n}.jpg") for n in range(4)]
    page = await open_page(service.url)
    await page.locator('#gallery a:has(img[alt="1.jpg"])').focus()
    delete(service, images[1])
    await expect(page.locator("#gallery a")).to_have_count(3)
    await expect(page.locator('#gallery a:has(img[alt="0.jpg"])')).to_be_focused()


async def test_deleting_all_leaves_the_focus_at_the_upload_button(
    service: Service, open_page: OpenPage
) -> None:
    for n in range(3):
        upload(service, JPEG, f"{n}.jpg")
    page = await open_page(service.url)
    await page.locator("#gallery li").first.hover()
    await page.locator("#gallery input").first.check()
    await page.get_by_role("button", name="Select all").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.locator("#gallery a")).to_have_count(0)
    await expect(page.get_by_role("button", name="Upload")).to_be_focused()


async def test_an_open_image_that_somebody_else_deletes_is_said_to_be_gone_and_stepped_from(
    service: Service, open_page: OpenPage
) -> None:
    images = [upload(service, JPEG, f"{n}.jpg") for n in range(3)]
    page = await open_page(service.url)
    await page.locator('#gallery a:has(img[alt="1.jpg"])').click()
    await expect(page.get_by_role("dialog", name="1.jpg")).to_be_visible()
    delete(service, images[1])
    await expect(page.get_by_text("This picture is no longer here")).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("dialog", name="2.jpg")).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="0.jpg")).to_be_visible()
