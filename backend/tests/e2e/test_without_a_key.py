"""Where anybody may upload: the page without a key, and the page that `delete_url` opens."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import KEY, OpenPage, a_file, choose
from testkit.programs import needs_chromium
from testkit.service import IMAGES, Service, StartService, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
PHONE = {"width": 320, "height": 568}


@pytest.fixture(scope="module")
def service(
    start_service: StartService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Start a service to which anybody may upload."""
    settings = "ACCESS=upload", f"API_KEY={KEY}", "THUMBNAIL_SIZES=none"
    data_dir = tmp_path_factory.mktemp("upload") / "data"
    service = start_service(*settings, data_dir=data_dir).wait_until_it_serves()
    yield service
    service.stop()


def status_of(service: Service, image: dict[str, Any]) -> int:
    return httpx.get(f"{service.url}{IMAGES}/{image['id']}/file", timeout=TIMEOUT).status_code


def is_secret_in(text: str, image: dict[str, Any]) -> bool:
    return image["delete_token"] in text


async def test_without_a_key_one_can_upload_copy_links_and_delete_what_one_uploaded(
    service: Service, open_page: OpenPage
) -> None:
    page = await open_page(service.url)
    key = page.get_by_role("dialog", name="This service needs a key")
    await expect(page.get_by_text("You can upload without a key.")).to_be_visible()
    await expect(key).to_have_count(0)
    await choose(page, a_file("mine.jpg", JPEG))
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    await page.locator("#gallery li").click()
    viewer = page.get_by_role("dialog", name="mine.jpg")
    await viewer.get_by_role("button", name="Copy").click()
    await expect(viewer.get_by_role("menuitem", name="Link that deletes it")).to_be_visible()
    await page.keyboard.press("Escape")
    await viewer.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("Picture removed")).to_be_visible()
    await expect(key).to_have_count(0)


async def test_the_gallery_asks_for_a_key_and_shows_all_with_it(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, JPEG, "somebodys.jpg")
    page = await open_page(service.url)
    await page.get_by_role("button", name="Try again").click()
    await page.get_by_label("API key").fill(KEY)
    await page.keyboard.press("Enter")
    await expect(page.locator('img[alt="somebodys.jpg"]')).to_be_visible()


async def test_the_page_that_deletes_asks_first_and_deletes_at_a_click(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service)
    page = await open_page(image["delete_url"], viewport=PHONE)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.headers}"))
    await page.reload()
    await expect(page.get_by_role("img", name="The picture")).to_be_visible()
    assert status_of(service, image) == 200
    assert not any(is_secret_in(request, image) for request in sent)
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert (await Axe().run(page)).response["violations"] == []
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("heading", name="Picture deleted")).to_be_visible()
    assert status_of(service, image) == 404
    assert [is_secret_in(request, image) for request in sent].count(True) == 1
    assert page.url == f"{service.url}/delete"
    assert not is_secret_in(service.output, image)
    await expect(page.get_by_role("link", name="To the gallery")).to_have_attribute("href", "./")


@pytest.mark.parametrize("is_whole", [True, False])
async def test_the_page_that_deletes_says_when_its_link_is_wrong(
    service: Service, open_page: OpenPage, *, is_whole: bool
) -> None:
    image = upload(service)
    wrong = image["delete_url"][:-4] + "AAAA" if is_whole else image["delete_url"].split(".")[0]
    page = await open_page(f"{service.url}/delete#{wrong.partition('#')[2]}")
    button = page.get_by_role("button", name="Delete it")
    if is_whole:
        await button.click()
    await expect(page.get_by_role("heading", name="Nothing to delete")).to_be_visible()
    await expect(page.get_by_text("not complete")).to_be_visible()
    await expect(button).to_be_hidden()
    assert status_of(service, image) == 200


async def test_the_page_that_deletes_can_be_asked_again_after_a_broken_connection(
    service: Service, open_page: OpenPage
) -> None:
    image = upload(service)
    page: Page = await open_page(image["delete_url"])
    await page.context.set_offline(True)
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("heading", name="Picture deleted")).to_be_visible()
    assert status_of(service, image) == 404
