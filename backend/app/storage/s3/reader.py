"""Reading an object, or a span of it."""

from app.domain.errors import StorageUnavailable
from app.storage.s3.opened import ObjectBody
from app.storage.s3.refusals import StoreFailure


class SpanReader:
    """An `ObjectReader`.

    Args:
        body: What the store sends; None = no bytes are wanted.
        size: Bytes of the whole object.
        length: Bytes that are wanted.
    """

    def __init__(self, body: ObjectBody | None, size: int, length: int) -> None:
        self._body = body
        self.size = size
        self._left = length

    async def read(self) -> bytes:
        """Return the next bytes; a store that sends fewer or more than it was asked for fails."""
        if self._body is None:
            return b""
        block = await self._body.read()
        self._left -= len(block)
        if self._left < 0 or (self._left and not block):
            words = f"the store sent {abs(self._left)} bytes too {'many' if block else 'few'}"
            raise StorageUnavailable from StoreFailure(words)
        return block

    async def close(self) -> None:
        """Release the connection."""
        if self._body:
            await self._body.close()
            self._body = None
