"""An answer that carries a file, or a span of it."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.storage.base import FileBacked, ObjectReader

ZERO_COPY_SEND: Final = "http.response.zerocopysend"
"""The ASGI extension by which a server sends from an open file, and the type of its message."""


class FileResponse(Response):
    """Sends `length` bytes from a reader, and closes it whatever happens to the client."""

    def __init__(
        self,
        status_code: int,
        headers: list[tuple[bytes, bytes]],
        reader: ObjectReader | None = None,
        length: int = 0,
    ) -> None:
        self.status_code = status_code
        self.background = None
        self.raw_headers = headers
        self._reader = reader
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stop reading when the client has gone."""
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            left = self._length
            while True:
                block = await self._reader.read() if self._reader else b""
                left -= len(block)
                await send({"type": "http.response.body", "body": block, "more_body": left > 0})
                if left > 0 and ZERO_COPY_SEND in scope.get("extensions", ()):
                    left = await self._send_cached(left, send)
                if left <= 0 or await Request(scope, receive).is_disconnected():
                    break
        finally:
            if self._reader:
                await self._reader.close()

    async def _send_cached(self, left: int, send: Send) -> int:
        """Send what follows as far as it need not be read; return how many bytes are left."""
        reader: object = self._reader
        while left > 0 and isinstance(reader, FileBacked) and (span := reader.take_cached()):
            left -= span.length
            message: Message = {
                "type": ZERO_COPY_SEND,
                "file": span.descriptor,
                "offset": span.offset,
                "count": span.length,
                "more_body": left > 0,
            }
            try:
                await send(message)
            except OSError:  # the client has gone
                return 0
        return left
