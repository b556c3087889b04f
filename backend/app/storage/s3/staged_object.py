"""Writing an object: by one request, or in parts that become an object when all are there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Final

from app.domain.errors import StorageError, StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3.buffer import Buffer
from app.storage.s3.checksums import take
from app.storage.s3.client import S3Client
from app.storage.s3.exchange import Parts

CONFIRM_SECONDS: Final = 5.0
"""How long the store may take to say whether an object is there after all."""
DISCARD_SECONDS: Final = 5.0
"""How long the removal of a discarded object may take."""

_log = logging.getLogger(__name__)


class StagedUpload:
    """An object that is in memory until it is published, or for the most part in an upload.

    Args:
        client: Writes.
        key: The object's.
        content_type: Its media type.
        buffer: Holds what is not sent yet.
        writing: Surrounds what writes, to see that it does so in the right storage.
    """

    def __init__(
        self,
        client: S3Client,
        key: str,
        content_type: str,
        buffer: Buffer,
        writing: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._client = client
        self._key = key
        self._content_type = content_type
        self._buffer = buffer
        self._writing = writing
        self._checksum = sha256()
        self._size = 0
        self._upload_id: str | None = None
        self._etags: list[str] = []
        self._may_exist = False

    async def write(self, data: bytes) -> None:
        """Append bytes; they are sent a part at a time."""
        rest = memoryview(data)
        while rest:
            rest = rest[await self._buffer.fill(rest) :]
            if self._buffer.is_full:
                await self._send_part()

    async def seal(self) -> None:
        """Send what is held as the last part, and hold nothing until `publish`."""
        if self._buffer.held:
            await self._send_part()

    async def publish(self) -> bytes:
        """Make the object whole and visible.

        Where that fails it may be there all the same: its key is used once only, and it is there
        as a whole or not at all.
        """
        if self._upload_id and self._buffer.held:
            await self._send_part()
        parts = self._buffer.send()
        self._size += self._buffer.held
        if not self._upload_id:
            await take(parts, self._checksum.update)
        self._may_exist = True
        async with self._writing():
            try:
                await self._put(parts)
            except StorageUnavailable:
                if not await self._is_there():
                    raise
        self._buffer.release()
        return self._checksum.digest()

    async def discard(self) -> None:
        """Remove the object and the upload, as far as they may be there.

        What the store still does of an interrupted request may come after that.
        """
        self._buffer.release()
        removals: list[Awaitable[None]] = []
        if self._upload_id:
            removals.append(self._client.abort_upload(self._key, self._upload_id))
        if self._may_exist:
            removals.append(self._client.delete_object(self._key))
        self._upload_id, self._may_exist = None, False
        results = await asyncio.gather(*map(_in_time, removals), return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                why = reason(error)
                _log.error("could not remove %s, which fsck will find: %s", self._key, why)

    async def _put(self, parts: Parts) -> None:
        if self._upload_id:
            await self._client.complete_upload(self._key, self._upload_id, self._etags)
        else:
            checksum = self._checksum.digest()
            await self._client.put_object(self._key, parts, self._content_type, checksum)

    async def _send_part(self) -> None:
        parts = self._buffer.send()
        self._size += self._buffer.held
        checksum = sha256()
        await take(parts, checksum.update, self._checksum.update)
        async with self._writing():
            if self._upload_id is None:
                self._upload_id = await self._client.create_upload(self._key, self._content_type)
            etag = await self._client.upload_part(
                self._key, self._upload_id, len(self._etags) + 1, parts, checksum.digest()
            )
            self._etags.append(etag)
        self._buffer.release()

    async def _is_there(self) -> bool:
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                return (await self._client.head_object(self._key)).size == self._size
        except (StorageError, TimeoutError):
            return False


async def _in_time(removal: Awaitable[None]) -> None:
    async with asyncio.timeout(DISCARD_SECONDS):
        await removal
