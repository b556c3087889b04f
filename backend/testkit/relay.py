"""A stretch of network, before a service, a cache or a store, that can break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx

from testkit.live import until


class Relay:
    """Passes on what it receives, until its connections are cut.

    Args:
        port: Where it leads to, from the next connection on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: set[asyncio.StreamWriter] = set()
        self.accepted = 0
        """How many connections there were."""
        self.is_broken = False
        """Whether new connections are cut too."""
        self.loses_answers = False
        """Whether answers get lost on the way."""
        self.alter: Callable[[bytes], bytes] = bytes
        """What answers become on the way."""
        self.alter_request: Callable[[bytes], bytes] = bytes
        """What requests become."""
        self.delay = 0.0
        """Seconds that answers take longer."""
        self.may_answer = asyncio.Event()
        """Answers wait for it."""
        self.may_answer.set()
        self.held = b""
        """What is sent and contains this waits for `go_on`; empty = nothing waits."""
        self.is_holding = asyncio.Event()
        self.go_on = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether there is no connection."""
        return not self._open

    def cut(self) -> None:
        """Break every connection there is."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection."""
        self.accepted += 1
        if self.is_broken:
            writer.transport.abort()
            return
        ends = {writer}
        self._open |= ends
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.transport.abort()
        else:
            self._open.add(far_writer)
            ends.add(far_writer)
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
                if is_answer:
                    await asyncio.sleep(self.delay)
                    await self.may_answer.wait()
                if not (is_answer and self.loses_answers):
                    alter = self.alter if is_answer else self.alter_request
                    writer.write(alter(received))
                    await writer.drain()
        writer.transport.abort()


def instead(answer: bytes, received: bytes) -> bytes:
    """Return an answer of HTTP for the first piece of the server's own, and nothing for the others.

    Let it end its connection: the next answer may come in one piece with the rest of this one.
    """
    return answer if received.startswith(b"HTTP/1.1 ") else b""


@asynccontextmanager
async def relaying(url: str) -> AsyncIterator[tuple[str, Relay]]:
    """Run a relay to an address of this machine; yield its own address."""
    address = httpx.URL(url)
    relay = Relay(address.port or 80)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    try:
        yield str(address.copy_with(port=server.sockets[0].getsockname()[1])), relay
    finally:
        server.close()
        relay.go_on.set()
        relay.may_answer.set()
        relay.cut()
        await until(lambda: relay.is_idle)
