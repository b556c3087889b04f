"""What the page weighs in a browser before it shows the first image."""

import asyncio

import httpx
import pytest
from playwright.async_api import Response, Route, expect

from testkit import samples
from testkit.page import OpenPage
from testkit.programs import needs_chromium
from testkit.service import Service, upload

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

FIRST_BUDGET = 40_000
"""Bytes of document, stylesheet and modules, uncompressed."""


async def test_what_comes_before_the_first_image_stays_within_its_budget(
    service: Service, open_page: OpenPage
) -> None:
    upload(service, samples.jpeg(640, 480))
    page = await open_page(f"{service.url}/docs")
    answers: list[Response] = []
    listed = asyncio.Event()
    shown = asyncio.Event()

    async def hold(route: Route) -> None:
        listed.set()
        await shown.wait()
        await route.continue_()

    def note(answer: Response) -> None:
        answers.append(answer)

    await page.route("**/api/v1/images?*", hold)
    page.on("response", note)
    await page.goto(service.url)
    await listed.wait()
    weights = {
        httpx.URL(answer.url).path: len(await answer.body())
        for answer in list(answers)
        if not answer.url.endswith(".svg")
    }
    assert "/" in weights
    assert any(path.endswith("/main.js") for path in weights)
    assert not any(path.endswith(("/viewer.js", "/uploads.js")) for path in weights)
    assert sum(weights.values()) <= FIRST_BUDGET, weights
    shown.set()
    await expect(page.locator("#gallery img")).to_have_count(1)
