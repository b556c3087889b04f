"""Copying one object to another storage, beside a service that may delete it (ADR 59).

The copy is read back. The service deletes from the source first, so a copy whose original is gone
when it can be seen is removed again: a delete is never undone.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from enum import StrEnum
from errno import EIO
from hashlib import sha256
from pathlib import PurePath
from typing import Final, NamedTuple

from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.imaging.formats import ImageType
from app.storage.base import ObjectInfo, StorageBackend

_TYPES: Final = {kind.extension: kind.value for kind in ImageType}


class Outcome(StrEnum):
    """What became of one object."""

    COPIED = "copied"
    FOUND = "there already"
    EARLIER = "verified by an earlier run"
    DELETED = "deleted in between"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


MOST_COPIES: Final = 2
"""Of an object. The first may be lost to a delete that an interrupted run still had under way."""
FAILED: Final = frozenset({Outcome.DAMAGED, Outcome.UNREADABLE})
"""What only a person can put right, in the source."""


class Pair(NamedTuple):
    """An object of the source."""

    file: ObjectInfo
    copied: int | None
    """Bytes of that in the destination; None if there is none."""


class Copier:
    """Copies objects, and compares copies.

    Args:
        source: Where the objects are; it is only read.
        destination: Where they are to be.
    """

    def __init__(self, source: StorageBackend, destination: StorageBackend) -> None:
        self._source = source
        self._destination = destination

    async def settle(self, keys: Iterable[str]) -> None:
        """Remove the copies of what was deleted while a run that was killed copied it.

        Raises:
            StorageUnavailable: If one may still be there.
        """
        for key in keys:
            if not await self._is_in_source(key):
                await self._destination.delete(key)

    async def bring(self, pair: Pair, checksum: bytes | None) -> Outcome:
        """Have an object in the destination, compared byte for byte; return what became of it.

        Args:
            pair: The object, and maybe its copy.
            checksum: The SHA-256 of what was uploaded, if that is known.

        Raises:
            StorageError: If one of the storages is unavailable or full, or the destination does not
                return what was written.
        """
        key = pair.file.key
        try:
            if pair.copied == pair.file.size:
                wanted = checksum or await _checksum(self._read_source(key))
                if await self._returned(key) == wanted:
                    return Outcome.FOUND
            for _ in range(MOST_COPIES):
                written = await self._copy(key)
                if await self._is_in_source(key) and await self._returned(key) == written:
                    return Outcome.DAMAGED if checksum and checksum != written else Outcome.COPIED
        except _Unreadable:
            return Outcome.UNREADABLE
        except ObjectNotFound:
            pass
        await self._destination.delete(key)
        if await self._is_in_source(key):
            words = "the destination does not return what was written there"
            raise StorageUnavailable from OSError(EIO, words, key)
        return Outcome.DELETED

    async def _copy(self, key: str) -> bytes:
        """Publish a copy; return the SHA-256 of what was read and written."""
        checksum = sha256()
        content_type = _TYPES.get(PurePath(key).suffix, "application/octet-stream")
        staged = await self._destination.stage(key, content_type)
        try:
            async with aclosing(self._read_source(key)) as blocks:
                async for block in blocks:
                    checksum.update(block)
                    await staged.write(bytes(block))
            await staged.publish()
        except BaseException:
            await staged.discard()
            raise
        return checksum.digest()

    async def _returned(self, key: str) -> bytes | None:
        """Return the SHA-256 of what the destination returns; None if that is nothing."""
        try:
            return await _checksum(_read(self._destination, key))
        except ObjectNotFound:
            return None

    async def _is_in_source(self, key: str) -> bool:
        try:
            await self._source.stat(key)
        except ObjectNotFound:
            return False
        return True

    async def _read_source(self, key: str) -> AsyncGenerator[bytes | bytearray]:
        try:
            async for block in _read(self._source, key):
                yield block
        except StorageUnavailable as error:
            await self._source.stat(key)  # the storage is there: it is this one object
            raise _Unreadable from error


class _Unreadable(Exception):
    """An object of the source cannot be read, though others may be."""


async def _read(storage: StorageBackend, key: str) -> AsyncGenerator[bytes | bytearray]:
    reader = await storage.open(key)
    try:
        while block := await reader.read():
            yield block
    finally:
        await reader.close()


async def _checksum(blocks: AsyncGenerator[bytes | bytearray]) -> bytes:
    checksum = sha256()
    async with aclosing(blocks):
        async for block in blocks:
            checksum.update(block)
    return checksum.digest()
