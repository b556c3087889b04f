"""Bytes of files that go from the page cache to the client without passing through Python.

The application sends them by the extension `http.response.zerocopysend` of ASGI (ADR 54).
"""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.api.images.file_response import ZERO_COPY_SEND
from app.runtime.page_cache import is_cached

if TYPE_CHECKING:
    from app.server.http_writer import ResponseWriter

EXTENSIONS: Final[dict[str, dict[object, object]]] = {ZERO_COPY_SEND: {}}
"""What an application finds in the scope of each request."""


class FileSendingCycle(RequestResponseCycle):
    """A request and its response, whose transport is a `ResponseWriter`."""

    def send(self, message: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401 - passed on to uvicorn
        """Send a message of the application: that of the extension, or any other."""
        if message["type"] == ZERO_COPY_SEND:
            return self._send_file(**message)
        return super().send(message)

    async def _send_file(
        self, *, file: int, offset: int, count: int, more_body: bool, **_type: str
    ) -> None:
        """Send bytes of a file, and let others have their turn.

        Raises:
            OSError: If the client has gone.
            RuntimeError: If these are more bytes than the head says.
        """
        if count > self.expected_content_length:
            raise RuntimeError("Response content longer than Content-Length")
        self.expected_content_length -= count
        writer = cast("ResponseWriter", self.transport)
        try:
            while count:
                if self.flow.write_paused:
                    await self.flow.drain()
                    if not is_cached(file, offset, count):  # any more: that took its time
                        with suppress(OSError):
                            await asyncio.to_thread(os.pread, file, count, offset)
                if self.disconnected or writer.is_closing():
                    raise ConnectionAbortedError
                sent = writer.send_file(file, offset, count)
                offset += sent
                count -= sent
        except OSError:
            self.disconnected = True
            raise
        if more_body:
            await asyncio.sleep(0)
        else:
            await self.send({"type": "http.response.body"})
