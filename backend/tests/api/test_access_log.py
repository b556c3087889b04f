import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.middleware.access_log import MOST_OF_AN_AGENT, AccessLog
from app.observability.logs import JsonFormatter, TextFormatter
from testkit import samples
from testkit.asgi import CLIENT, OpenClient, Upload

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


@pytest.mark.parametrize(
    ("agent", "shown"),
    [
        (b"curl/8.5.0", "curl/8.5.0"),
        (b'a "quoted" \\ agent', 'a "quoted" \\\\ agent'),
        (b"\x9b31m\x7f caf\xc3\xa9\t", r"\x9b31m\x7f caf\xc3\xa9\t"),
        (b"x" * 10_000, "x" * MOST_OF_AN_AGENT),
        (b"", ""),
    ],
)
async def test_a_json_line_names_the_program_that_asks_bounded_and_escaped(
    open_client: OpenClient, lines: Lines, agent: bytes, shown: str
) -> None:
    async with open_client(log_format="json") as client:
        await client.get("/health/live", headers={b"user-agent": agent})
    line = JsonFormatter().format(lines()[-1])
    assert json.loads(line)["user_agent"] == shown
    assert line.isascii()
    assert line.isprintable()


async def test_a_json_line_of_a_client_that_names_no_program_has_no_such_field(
    open_client: OpenClient, lines: Lines
) -> None:
    async with open_client(log_format="json") as client:
        del client.headers["user-agent"]
        await client.get("/health/live")
    assert {"user_agent", "cache"} & json.loads(JsonFormatter().format(lines()[-1])).keys() == set()


async def test_a_text_line_has_nothing_that_a_client_names_itself(
    client: httpx.AsyncClient, lines: Lines
) -> None:
    await client.get("/health/live", headers={"user-agent": "forged"})
    assert "forged" not in TextFormatter().format(lines()[-1])
    assert not hasattr(lines()[-1], "user_agent")


async def test_above_info_there_are_no_lines_and_none_are_made(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    monkeypatch.setattr(logging.LogRecord, "__init__", lambda *made_of: made.append(made_of))
    caplog.set_level(logging.WARNING, "app")
    assert (await client.get("/health/live")).headers["x-request-id"]
    assert made == []
    assert caplog.records == []


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
