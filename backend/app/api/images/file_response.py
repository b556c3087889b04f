"""An answer that carries a file, or a span of it."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.status import HTTP_302_FOUND, HTTP_304_NOT_MODIFIED
from starlette.types import Message, Receive, Scope, Send

from app.api.observed import FILE_WAY
from app.api.problems.handlers import report
from app.domain.errors import StorageError
from app.storage.abilities import FileBacked
from app.storage.base import ObjectReader

ZERO_COPY_SEND: Final = "http.response.zerocopysend"
"""The ASGI extension by which a server sends from an open file, and the type of its message."""
_WAYS_OF_OTHERS: Final = {HTTP_302_FOUND: "redirect", HTTP_304_NOT_MODIFIED: "not_modified"}


class FileResponse(Response):
    """Sends `length` bytes from a reader, and closes it whatever happens to the client.

    Without a reader somebody else sends them.
    """

    count: Callable[[int, int], object] | None = None
    """Called at the end with `start`, where in the file these bytes begin, and how many were handed
    to the server; not if there were none."""

    def __init__(
        self,
        status_code: int,
        headers: list[tuple[bytes, bytes]],
        reader: ObjectReader | None = None,
        length: int = 0,
        start: int = 0,
    ) -> None:
        self.status_code = status_code
        self.background = None
        self.raw_headers = headers
        self._reader = reader
        self._length = length
        self._left = length if reader else 0
        self._start = start
        self._by_kernel = False
        """Whether the kernel has sent some of them."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stop reading when the client has gone.

        If the file cannot be read to its end, the log says why, and the server, whose client waits
        for the rest, ends the connection.
        """
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            while True:
                block = await self._reader.read() if self._reader else b""
                more = self._left > len(block)
                await send({"type": "http.response.body", "body": block, "more_body": more})
                self._left -= len(block)
                if more and ZERO_COPY_SEND in scope.get("extensions", ()):
                    more = await self._send_cached(send)
                if not more or await Request(scope, receive).is_disconnected():
                    break
        except StorageError as error:
            report(error, scope["state"]["readiness"])
        finally:
            if self._reader:
                await self._reader.close()
            if self.count and self._left < self._length:
                self.count(self._start, self._length - self._left)
            if scope["method"] != "HEAD":
                scope[FILE_WAY] = self._way()

    def _way(self) -> str:
        """Return how the bytes went to the client; empty where none were to go."""
        if not self._reader:
            return _WAYS_OF_OTHERS.get(self.status_code, "front")
        if self._by_kernel:
            return "sendfile"
        if not self._length:
            return ""
        is_in_memory = isinstance(self._reader, FileBacked) and not self._reader.has_waited
        return "memory" if is_in_memory else "stream"

    async def _send_cached(self, send: Send) -> bool:
        """Send what follows as far as it need not be read; return whether to go on."""
        reader: object = self._reader
        while self._left > 0 and isinstance(reader, FileBacked) and (span := reader.take_cached()):
            message: Message = {
                "type": ZERO_COPY_SEND,
                "file": span.descriptor,
                "offset": span.offset,
                "count": span.length,
                "more_body": self._left > span.length,
            }
            try:
                await send(message)
            except OSError:  # the client has gone
                return False
            except EOFError as error:
                reader.fail(error.__cause__)
            self._by_kernel = True
            self._left -= span.length
        return self._left > 0
