"""Connections to a store, which requests take in turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ConnectionTimeoutError

from app.storage.s3 import exchange
from app.storage.s3.exchange import Body, Exchange

BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@asynccontextmanager
async def store(rest: asyncio.Event) -> AsyncIterator[str]:
    """Run a store that is too busy for a PUT, and sends half of an object until an event is set."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"PUT"):
                    await reader.readexactly(5)
                    writer.write(BUSY)
                else:
                    writer.write(HEAD + b"first")
                    await rest.wait()
                    writer.write(b"other")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_request_that_is_sent_again_ends_no_other_on_its_earlier_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "QUEUE_SECONDS", 0.1)
    rest, body = asyncio.Event(), Body([b"bytes"])
    headers = {"content-length": "5"}
    async with store(rest) as address:
        connections = Exchange(address, 1)
        try:
            refused = await connections.send("PUT", "/key", headers, body)
            assert (refused.status, await refused.read()) == (503, b"")
            other = await connections.send("GET", "/other", {}, None)
            with pytest.raises(ConnectionTimeoutError):
                await connections.send("PUT", "/key", headers, body)
            rest.set()
            assert await other.read() == b"firstother"
        finally:
            await connections.close()
