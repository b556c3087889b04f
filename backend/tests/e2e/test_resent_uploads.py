"""What a browser sends again by itself, because an old connection broke, is stored once."""

import asyncio

import pytest

from testkit import samples
from testkit.live import TIMEOUT
from testkit.page import OpenPage
from testkit.programs import needs_chromium
from testkit.relay import relaying
from testkit.service import Service, listed_names

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

SEND = """async ([key, bytes]) => {
  await fetch("/health/live");  // leaves a connection, which the upload uses
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(bytes)]), "once.jpg");
  const headers = key ? { "Idempotency-Key": key } : {};
  const answer = await fetch("/api/v1/images/upload", { method: "POST", body: form, headers });
  return answer.status;
}"""


@pytest.mark.parametrize(("key", "images"), [("once", 1), ("", 2)], ids=["key", "no-key"])
async def test_an_upload_that_chromium_resends_by_itself_is_stored_once_with_a_key(
    open_page: OpenPage, service: Service, key: str, images: int
) -> None:
    sent = 0
    answered = asyncio.Event()

    def count(request: bytes) -> bytes:
        nonlocal sent
        sent += request.startswith(b"POST /api/v1/images/upload")
        return request

    def lose_first(answer: bytes) -> bytes:
        if not sent or answered.is_set():
            return answer
        if answer.startswith(b"HTTP/1.1 201"):
            answered.set()
        return b""

    async with relaying(service.url) as (url, relay), asyncio.timeout(TIMEOUT):
        page = await open_page(f"{url}/docs")  # which asks for nothing else meanwhile
        await page.wait_for_load_state("networkidle")
        relay.alter_request, relay.alter = count, lose_first
        sending = asyncio.create_task(page.evaluate(SEND, [key, list(samples.jpeg())]))
        await answered.wait()
        relay.cut()
        assert await sending == 201
        assert sent == 2
    assert listed_names(service) == ["once.jpg"] * images
