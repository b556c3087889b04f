"""Objects in memory: a complete backend for tests, gone when the process ends."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256

from app.domain.errors import ObjectNotFound
from app.storage.base import ObjectInfo, ObjectReader, Skipped, StagedObject, ignore, require_key

_Objects = dict[str, tuple[bytes, datetime]]


class MemoryStorage:
    """A `StorageBackend` over a dictionary."""

    def __init__(self) -> None:
        self._objects: _Objects = {}

    async def stage(self, key: str, content_type: str) -> StagedObject:  # noqa: ARG002 - nobody asks
        """Begin an object."""
        return _StagedObject(self._objects, require_key(key))

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or a span of it."""
        data, _ = self._find(key)
        end = len(data) if length is None else start + length
        return _Reader(len(data), data[start:end])

    async def stat(self, key: str) -> ObjectInfo:
        """Return size and time of an object."""
        data, modified = self._find(key)
        return ObjectInfo(key, len(data), modified)

    async def delete(self, key: str) -> None:
        """Remove an object."""
        self._objects.pop(require_key(key), None)

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:  # noqa: ARG002 - nothing else is there
        """Yield all objects in the order of their keys."""
        for key, (data, modified) in sorted(self._objects.items()):
            yield ObjectInfo(key, len(data), modified)

    async def prepare(self) -> None:
        """Succeed: nothing is to be set up."""

    async def probe(self) -> None:
        """Succeed: memory can always be written."""

    async def close(self) -> None:
        """Keep everything: others may hold this backend too."""

    def _find(self, key: str) -> tuple[bytes, datetime]:
        try:
            return self._objects[require_key(key)]
        except KeyError as error:
            raise ObjectNotFound(key) from error


class _StagedObject:
    def __init__(self, objects: _Objects, key: str) -> None:
        self._objects = objects
        self._key = key
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._data += data

    async def seal(self) -> None:
        pass

    async def publish(self) -> bytes:
        self._objects[self._key] = (bytes(self._data), datetime.now(UTC))
        return sha256(self._data).digest()

    async def discard(self) -> None:
        self._objects.pop(self._key, None)


class _Reader:
    def __init__(self, size: int, span: bytes) -> None:
        self.size = size
        self._span = span

    async def read(self) -> bytes:
        span, self._span = self._span, b""
        return span

    async def close(self) -> None:
        self._span = b""
