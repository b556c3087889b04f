"""An answer that carries a file, or a span of it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.storage.base import ObjectReader


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
                if left <= 0 or await Request(scope, receive).is_disconnected():
                    break
        finally:
            if self._reader:
                await self._reader.close()
