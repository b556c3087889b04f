"""A real browser before the real `make run`: one of each for the session."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, async_playwright, expect

from testkit.live import PATIENCE
from testkit.programs import CHROMIUM
from tests.service.conftest import Service, StartService, make_checkout, starting_services

IMAGES = "/api/v1/images"
DESKTOP = {"width": 1280, "height": 800}
KEY = "correct-horse"
OPTIONS = {"locale": "en-GB", "timezone_id": "Asia/Kolkata", "reduced_motion": "reduce"}

expect.set_options(timeout=PATIENCE * 1000)

OpenPage = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    with starting_services(make_checkout(tmp_path_factory.mktemp("page") / "checkout")) as start:
        yield start


@pytest.fixture(scope="session")
def _open_service(start_service: StartService) -> Service:
    return start_service().wait_until_it_serves()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def service(_open_service: Service) -> Service:
    """Give the session's service, with no pictures."""
    async with httpx.AsyncClient(base_url=_open_service.url, timeout=PATIENCE) as client:
        while items := (await client.get(IMAGES, params={"limit": 100})).json()["items"]:
            await asyncio.gather(*[client.delete(f"{IMAGES}/{image['id']}") for image in items])
    return _open_service


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open pages, each in a browser of its own; see to it that none asks another host.

    Nor may a script fail, a box of the browser's own come up, or anything be tried that the
    page's policy forbids.
    """
    complaints: list[str] = []
    contexts = []

    async def open_page(url: str, **options: Any) -> Page:
        context = await browser.new_context(**{"viewport": DESKTOP, **OPTIONS, **options})
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = await context.new_page()
        host = httpx.URL(url).netloc.decode()

        def watch_request(address: str) -> None:
            if httpx.URL(address).netloc.decode() != host:
                complaints.append(f"asked another host: {address}")

        def watch_console(text: str) -> None:
            if "Content Security Policy" in text or "Trusted" in text:
                complaints.append(text)

        async def watch_dialog(dialog: Dialog) -> None:
            complaints.append(f"a box came up: {dialog.message}")
            await dialog.dismiss()

        page.on("dialog", watch_dialog)
        page.on("request", lambda request: watch_request(request.url))
        page.on("console", lambda message: watch_console(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage, service: Service) -> Page:
    return await open_page(service.url)


def a_file(name: str, content: bytes) -> Any:
    """Describe a file as Playwright hands it to the page."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


async def choose(page: Page, *files: Any) -> None:
    """Choose files, by the words that a person reads."""
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label("Choose file").set_input_files(list(files))
    await page.get_by_role("button", name="Submit").click()


def store(service: Service, content: bytes, name: str = "photo.jpg") -> dict[str, Any]:
    files = {"file": (name, content)}
    response = httpx.post(f"{service.url}{IMAGES}/upload", files=files, timeout=PATIENCE)
    assert response.status_code == 201
    image: dict[str, Any] = response.json()
    return image


def delete(service: Service, image: dict[str, Any]) -> None:
    address = f"{service.url}{IMAGES}/{image['id']}"
    assert httpx.delete(address, timeout=PATIENCE).status_code == 204


def listed(service: Service) -> list[str]:
    answer = httpx.get(f"{service.url}{IMAGES}", params={"limit": 100}, timeout=PATIENCE)
    return [image["filename"] for image in answer.json()["items"]]


def stored_files(service: Service) -> list[Path]:
    return [path for path in (service.data_dir / "images").glob("*/*") if path.is_file()]


@contextmanager
def storage_away(service: Service) -> Iterator[None]:
    """Take the folder of pictures away for a while, as a lost mount does."""
    images = service.data_dir / "images"
    aside = images.rename(service.data_dir / "aside")
    try:
        yield
    finally:
        aside.rename(images)


async def shown(page: Page) -> list[str]:
    """Tell the names of the pictures in the gallery, as they are shown."""
    names: list[str] = await page.locator("#gallery img").evaluate_all(
        "images => images.map(image => image.alt)"
    )
    return names
