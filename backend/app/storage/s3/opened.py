"""An object of a store that is open for reading."""

from aiohttp import ClientResponse

from app.storage.base import ObjectInfo
from app.storage.s3.calls import Call, Calls, storage_errors


class ObjectBody:
    """An open object or a span of it, which must be closed."""

    def __init__(
        self, calls: Calls, call: Call, response: ClientResponse | None, info: ObjectInfo
    ) -> None:
        self._calls = calls
        self._call = call
        self._response = response
        self.size = info.size
        """Bytes of the whole object."""
        self.modified = info.modified

    async def read(self) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            StorageUnavailable: If the connection breaks, or no bytes come for too long.
        """
        if self._response is None:
            return b""
        with storage_errors(), self._calls.failing(self._call):
            return await self._response.content.readany()

    async def close(self) -> None:
        """Release the connection; it is closed if not all bytes were read."""
        if self._response is not None:
            self._response.close()
            self._response = None
