"""A real browser in front of the real `make run`: one of each for the session."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Dialog, Page, async_playwright, expect

from testkit.live import TIMEOUT
from testkit.page import OPTIONS, OpenPage
from testkit.programs import CHROMIUM
from testkit.service import IMAGES, Service, StartService, make_checkout, starting_services

DESKTOP = {"width": 1280, "height": 800}

expect.set_options(timeout=TIMEOUT * 1000)


@pytest.fixture(scope="session")
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    with starting_services(make_checkout(tmp_path_factory.mktemp("page") / "checkout")) as start:
        yield start


@pytest.fixture(scope="session")
def _open_service(start_service: StartService) -> Service:
    return start_service("THUMBNAIL_SIZES=none").wait_until_it_serves()


@pytest.fixture(scope="module")
def rendering(
    start_service: StartService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Start a service with a worker."""
    data_dir = tmp_path_factory.mktemp("rendering") / "data"
    service = start_service("WORKER_PROCESSES=1", data_dir=data_dir).wait_until_it_serves()
    yield service
    service.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def service(_open_service: Service) -> Service:
    """Return the session's service, with no images."""
    async with httpx.AsyncClient(base_url=_open_service.url, timeout=TIMEOUT) as client:
        while items := (await client.get(IMAGES, params={"limit": 100})).json()["items"]:
            await asyncio.gather(*[client.delete(f"{IMAGES}/{image['id']}") for image in items])
    return _open_service


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """Open pages, each in a browser context of its own.

    Fail the test if one sends a request to another host, if a script fails, if a dialog of the
    browser opens, or if the page's policy is violated.
    """
    complaints: list[str] = []
    contexts = []

    async def open_page(url: str, **options: Any) -> Page:
        context = await browser.new_context(**{"viewport": DESKTOP, **OPTIONS, **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT * 1000)
        page = await context.new_page()
        host = httpx.URL(url).netloc.decode()

        def watch_request(address: str) -> None:
            if httpx.URL(address.removeprefix("blob:")).netloc.decode() != host:
                complaints.append(f"request to another host: {address}")

        def watch_console(text: str) -> None:
            if "Content Security Policy" in text or "Trusted" in text:
                complaints.append(text)

        async def watch_dialog(dialog: Dialog) -> None:
            complaints.append(f"dialog: {dialog.message}")
            await dialog.dismiss()

        page.on("dialog", watch_dialog)
        page.on("request", lambda request: watch_request(request.url))
        page.on("console", lambda message: watch_console(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            await page.unroute_all(behavior="ignoreErrors")  # what a handler is in the middle of
        await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(open_page: OpenPage, service: Service) -> Page:
    return await open_page(service.url)
