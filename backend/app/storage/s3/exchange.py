"""One request to a store and its answer: connections, deadlines, and the body on its way there."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload
from yarl import URL

from app.domain.errors import StorageUnavailable

CONNECT_SECONDS: Final = 5.0
"""How long one attempt to connect may take."""
QUEUE_SECONDS: Final = 10.0
"""How long a request waits for a connection, be it free or new."""
PROGRESS_SECONDS: Final = 15.0
"""How long a store may take for the next bytes, either way; for all of them it may take longer."""

_BLOCK: Final = 256 * 1024
"""Bytes that are written at a time, and that an answer's body holds."""

Parts = Sequence[bytes | bytearray | memoryview]


class Body(Payload):
    """The bytes of a request, which can be sent again.

    They are written in blocks, each with a deadline: aiohttp has none for writing.
    """

    _autoclose = True

    def __init__(self, parts: Parts) -> None:
        super().__init__(None)
        self._parts = parts
        self._size = sum(map(len, parts))
        self._transport: asyncio.Transport | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all bytes.

        Raises:
            TimeoutError: If the store takes none of them for `PROGRESS_SECONDS`.
        """
        assert isinstance(writer, StreamWriter)  # noqa: S101 - the only kind of aiohttp's client
        self._transport = writer.transport
        for part in self._parts:
            view = memoryview(part)
            for start in range(0, len(view), _BLOCK):
                async with asyncio.timeout(PROGRESS_SECONDS):
                    await writer.write(view[start : start + _BLOCK])

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 - it is the size
    ) -> None:
        """Write all bytes, as aiohttp asks for it."""
        await self.write(writer)

    def begin(self) -> None:
        """Be sent, maybe again: an earlier connection may serve another request by now."""
        self._transport = None

    def abort(self) -> None:
        """Drop what is still to be sent; aiohttp would wait for a store that takes no bytes."""
        if self._transport is not None:
            self._transport.abort()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text, as aiohttp's protocol of payloads asks for it."""
        return b"".join(self._parts).decode(encoding, errors)


class Exchange:
    """The connections to one store, at most so many."""

    def __init__(self, address: str, connections: int) -> None:
        self._address = address
        self._connections = connections
        self._session: ClientSession | None = None
        self._is_closed = False

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: Body | None
    ) -> ClientResponse:
        """Return the answer, whose body is yet to be read; it must be released.

        Raises:
            aiohttp.ClientError: If the connection breaks, or cannot be opened.
            TimeoutError: If a deadline is over.
            StorageUnavailable: If all connections were closed.
        """
        if self._is_closed:
            raise StorageUnavailable from ConnectionError(f"closed to {self._address}")
        if self._session is None:
            self._session = self._open()
        url = URL(self._address + target, encoded=True)
        if body is not None:
            body.begin()
        try:
            return await self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False
            )
        except BaseException:
            if body is not None:
                body.abort()
            raise

    def _open(self) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(limit=self._connections),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(
                connect=QUEUE_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=PROGRESS_SECONDS
            ),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            read_bufsize=_BLOCK // 2,
        )

    async def close(self) -> None:
        """Close every connection, and open none any more."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()
