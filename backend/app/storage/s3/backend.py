"""Objects in a bucket of an S3-compatible store, or below a prefix in it (ADR 57).

    <prefix>.image-host        the id of this storage
    <prefix>.image-host-check  written to prove that objects can be
    <prefix>ab3f….jpg          published

What is being written is in memory, and from a part on in a multipart upload, which no list of
objects shows.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from errno import ETIMEDOUT
from time import monotonic
from typing import TYPE_CHECKING, Final

from app.config.storage_url import S3Location
from app.domain.errors import ObjectNotFound, StorageError, StorageUnavailable
from app.storage.abilities import UnlistedUploads
from app.storage.base import ObjectInfo, Skipped, ignore, is_key, require_key
from app.storage.s3.budget import ByteBudget
from app.storage.s3.buffer import Buffer
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from app.storage.s3.marking import NAME, MarkedBucket
from app.storage.s3.reader import SpanReader
from app.storage.s3.staged_object import StagedUpload

if TYPE_CHECKING:
    from app.storage.s3.answers import Upload

CONNECTIONS: Final = 1000
CHECK: Final = f"{NAME}-check"
PROBE_SECONDS: Final = 3.0
"""How long the store may take to show that it works: less than readiness may take to answer."""
WRITTEN_SECONDS: Final = 10.0
"""How long a write proves that another one would succeed: stores charge for each."""

_OF_UPLOAD: Final = "?uploadId="
"""In the name of an unfinished upload, between the object's key and its own id."""


class S3Storage(MarkedBucket):
    """A `StorageBackend` over a bucket, which must be there.

    Args:
        location: The bucket, and the prefix of all keys.
        credentials: What requests are signed with.
        connections: Most connections to the store: each download has one to its end.
        budget: The memory of all uploads together.
    """

    def __init__(
        self,
        location: S3Location,
        credentials: Credentials,
        connections: int = CONNECTIONS,
        budget: ByteBudget | None = None,
    ) -> None:
        super().__init__(location, S3Client(location, credentials, connections))
        self._budget = budget or ByteBudget()
        self._is_prepared = False
        self._written_at = float("-inf")
        """When a write succeeded last, unless one has failed since."""

    async def stage(self, key: str, content_type: str) -> StagedUpload:
        """Begin an object; nothing is sent before there is a whole part."""
        require_key(key)
        await self.prepare()
        buffer = Buffer(self._budget)
        return StagedUpload(self._client, key, content_type, buffer, self._writing)

    async def open(self, key: str, start: int = 0, length: int | None = None) -> SpanReader:
        """Open an object: the store's answer is the proof that it is still there."""
        require_key(key)
        with_bytes = length is None or length > 0
        try:
            if not with_bytes:
                return SpanReader(None, (await self._client.head_object(key)).size, 0)
            body = await self._client.get_object(key, start, length)
        except ObjectNotFound:
            await self._require_mark()
            raise
        left = max(0, body.size - start)
        return SpanReader(body, body.size, left if length is None else min(left, length))

    async def presign(self, key: str, seconds: int, headers: Mapping[str, str]) -> str:
        """Return an address of an object in the store."""
        return await self._client.presign(require_key(key), seconds, headers)

    async def stat(self, key: str) -> ObjectInfo:
        """Return size and time of an object."""
        try:
            return await self._client.head_object(require_key(key))
        except ObjectNotFound:
            await self._require_mark()
            raise

    async def delete(self, key: str) -> None:
        """Remove an object. A store says the same where there was none."""
        require_key(key)
        await self._require_mark_seen()
        await self._client.delete_object(key)

    async def link(self, key: str, new_key: str) -> bool:
        """Have the store copy an object."""
        try:
            async with self._writing():
                await self._client.copy_object(require_key(key), require_key(new_key))
        except ObjectNotFound:
            await self._require_mark()
            raise
        return True

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield all objects, holding a page of the store's list at a time."""
        last = ""
        while page := await self._client.list_objects(last):
            for info in page:
                if is_key(info.key):
                    yield info
                elif info.key not in {NAME, CHECK}:
                    skipped(info.key)
            last = page[-1].key

    async def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield unfinished uploads, whose sizes are not asked for.

        One of its own shows whether the store lists any.
        """
        own = await self._client.create_upload(CHECK, "text/plain")
        is_complete = False
        try:
            last: Upload | None = None
            while page := await self._client.list_uploads(last):
                for upload in page:
                    if upload.upload_id == own:
                        is_complete = True
                    elif is_key(upload.key) or upload.key == CHECK:
                        yield ObjectInfo(
                            f"{upload.key}{_OF_UPLOAD}{upload.upload_id}", 0, upload.initiated
                        )
                    else:
                        skipped(upload.key)
                last = page[-1]
        finally:
            await self._client.abort_upload(CHECK, own)
        if not is_complete:
            raise UnlistedUploads

    async def discard_staged(self, name: str) -> None:
        """Abort an unfinished upload."""
        key, _, upload_id = name.partition(_OF_UPLOAD)
        await self._client.abort_upload(key, upload_id)

    async def prepare(self) -> None:
        """Write an object, and find out what the store compares the bytes of others with."""
        if not self._is_prepared:
            await self._write()
            await self._client.probe_sha256(CHECK)
            self._is_prepared = True

    async def probe(self) -> None:
        """Look at the mark, and write an object unless one was written lately."""
        async with self._deadline(PROBE_SECONDS):
            await self.prepare()
            await self._require_mark()
            if monotonic() - self._written_at > WRITTEN_SECONDS:
                await self._write()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _write(self) -> None:
        async with self._writing():
            await self._client.put_object(CHECK, [b"written\n"], "text/plain")

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Require the mark for what is written, and note whether that succeeds."""
        await self._require_mark_seen()
        try:
            yield
        except StorageError:
            self._written_at = float("-inf")
            raise
        self._written_at = monotonic()

    @asynccontextmanager
    async def _deadline(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            words = f"the store has not answered for {seconds:.0f} s"
            raise StorageUnavailable from TimeoutError(ETIMEDOUT, words, self.location)
