"""A stretch of network before a service, or a cache, that can break."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx


class Relay:
    """Passes on what it receives, until its connections are cut.

    Args:
        port: Where the service listens.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: set[asyncio.StreamWriter] = set()
        self.is_broken = False
        """Whether new connections are cut too."""
        self.loses_answers = False
        """Whether what the service says gets lost on the way."""
        self.held = b""
        """What is sent and contains this waits for `go_on`; empty = nothing waits."""
        self.is_holding = asyncio.Event()
        self.go_on = asyncio.Event()

    def cut(self) -> None:
        """Break every connection there is."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection."""
        if self.is_broken:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, far_writer}
        self._open |= ends
        await asyncio.gather(
            self._pass_on(reader, far_writer), self._pass_on(far_reader, writer, is_answer=True)
        )
        self._open -= ends

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False
    ) -> None:
        with suppress(OSError):
            while received := await reader.read(65536):
                if self.held and self.held in received and not is_answer:
                    self.is_holding.set()
                    await self.go_on.wait()
                if not (is_answer and self.loses_answers):
                    writer.write(received)
                    await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def relaying(url: str) -> AsyncIterator[tuple[str, Relay]]:
    """Run a relay to a service; yield its own address."""
    relay = Relay(httpx.URL(url).port or 80)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", relay
    finally:
        server.close()
        relay.cut()
