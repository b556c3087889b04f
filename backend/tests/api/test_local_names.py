"""Under which names the metrics listener answers."""

import httpx
import pytest
from starlette.responses import PlainTextResponse

from app.api.middleware.local_names import LocalNames


async def ask(listens_on: str, host: str) -> int:
    guarded = LocalNames(PlainTextResponse("figures"), listens_on)
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/status", headers={"Host": host})).status_code


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "::1", "localhost"])
async def test_on_loopback_no_page_reads_under_a_name_that_it_could_have_made(
    listens_on: str,
) -> None:
    for host in ("localhost:9464", "LOCALHOST", "127.0.0.1:9464", "[::1]:9464", "127.0.0.1"):
        assert await ask(listens_on, host) == 200, host
    for host in (
        "attacker.example:9464",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example",
    ):
        assert await ask(listens_on, host) == 421, host


async def test_where_other_machines_ask_any_name_is_known() -> None:
    assert await ask("0.0.0.0", "host1.example:9464") == 200
