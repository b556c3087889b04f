import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.access_log import AccessLog
from testkit import samples
from testkit.asgi import CLIENT, Upload

Lines = Callable[[], list[Any]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, "app")

    def lines() -> list[Any]:
        return [
            record for record in caplog.records if record.name == "app.api.middleware.access_log"
        ]

    return lines


async def test_a_request_is_one_line_with_all_its_fields(
    client: httpx.AsyncClient, upload: Upload, lines: Lines
) -> None:
    content = samples.jpeg()
    image = await upload(content)
    await client.get(image["url"])
    last = lines()[-1]
    assert (last.method, last.status, last.bytes, last.client) == ("GET", 200, len(content), CLIENT)
    assert last.path == f"/api/v1/images/{image['id']}/file"
    assert 0 <= last.duration_ms < 60_000
    assert last.getMessage() == (
        f"GET {last.path} 200 {last.duration_ms}ms {len(content)}B {CLIENT}"
    )


async def test_of_a_key_in_a_path_only_its_beginning_is_logged(
    client: httpx.AsyncClient, lines: Lines
) -> None:
    key = "ih_" + "a1B2c3D4" + "_" + "x" * 43
    response = await client.delete(f"/api/v1/keys/{key}")
    assert key not in response.text
    assert lines()[-1].path == "/api/v1/keys/ih_a1B2c3D4"


async def test_errors_are_lines_too(client: httpx.AsyncClient, lines: Lines) -> None:
    response = await client.get("/nothing")
    assert (lines()[-1].status, lines()[-1].bytes) == (404, len(response.content))


async def test_every_answer_has_a_request_id_of_its_own(client: httpx.AsyncClient) -> None:
    wanted = {"x-request-id": "mine\tforged"}
    ids = {
        (await client.get("/health/live", headers=wanted)).headers["x-request-id"] for _ in "abc"
    }
    assert len(ids) == 3
    assert all(len(one) == 32 and one.isalnum() for one in ids)


async def test_the_path_cannot_forge_a_line_and_the_query_is_not_logged(
    client: httpx.AsyncClient, lines: Lines
) -> None:
    await client.get("/a%0aFORGED%1b[31m%20line?token=secret")
    assert lines()[-1].path == "/a%0AFORGED%1B%5B31m%20line"
    assert "secret" not in lines()[-1].getMessage()


async def test_head_counts_no_bytes(
    client: httpx.AsyncClient, upload: Upload, lines: Lines
) -> None:
    image = await upload(samples.jpeg())
    await client.head(image["url"])
    assert lines()[-1].bytes == 0


async def test_a_started_answer_is_not_started_again() -> None:
    async def fail(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await AccessLog(fail)({"type": "http", "method": "GET", "path": "/"}, receive, send)
    assert sent == ["http.response.start"]
