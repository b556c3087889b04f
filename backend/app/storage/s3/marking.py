"""The object by which a bucket, or a prefix in it, is recognised, so that no other is taken for it.

A URL of another bucket, or a bucket that was made anew, looks like an empty storage (ADR 27).
"""

from time import monotonic
from typing import Final
from uuid import UUID

from app.config.storage_url import S3Location
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.storage.abilities import Mark
from app.storage.base import is_key
from app.storage.s3.client import S3Client
from app.storage.s3.refusals import StoreFailure

NAME: Final = ".image-host"
"""The mark's, below the prefix; it is no key."""
SEEN_SECONDS: Final = 10.0
"""How long a mark that was seen is enough to write and delete: for what counts as missing it is
looked at again."""
_MOST_BYTES: Final = 100

_NO_MARK: Final = (
    "this is not the id of a storage; restore it from a backup, or, if the bucket is that of the "
    'database, run `make fsck ARGS="--adopt-storage"`'
)


class MarkedBucket:
    """A bucket or a prefix in it, and the proof that it is the right one."""

    def __init__(self, location: S3Location, client: S3Client) -> None:
        self._location = location
        self._client = client
        self._required: Mark | None = None
        self._seen_at = float("-inf")

    @property
    def location(self) -> str:
        """The bucket, prefix and store."""
        return str(self._location)

    async def read_mark(self) -> Mark | None:
        """Read the object that marks the bucket."""
        try:
            body = await self._client.get_object(NAME)
        except ObjectNotFound:
            return None
        text = b""
        try:
            while len(text) <= _MOST_BYTES and (block := await body.read()):
                text += block
        finally:
            await body.close()
        try:
            return Mark.of_text(text.decode("ascii", "replace"))
        except ValueError:
            raise StorageUnavailable from self._failure(_NO_MARK)

    async def write_mark(self, mark: Mark) -> None:
        """Write the object that marks the bucket."""
        await self._client.put_object(NAME, [mark.text.encode()], "text/plain")

    async def holds_objects(self) -> bool:
        """List until there is an object."""
        last = ""
        while page := await self._client.list_objects(last):
            if any(is_key(info.key) for info in page):
                return True
            last = page[-1].key
        return False

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while the bucket has this mark."""
        self._required = Mark(storage_id)

    async def _require_mark(self) -> None:
        """Look at the mark.

        Raises:
            StorageUnavailable: If it is missing or another, or cannot be read.
        """
        if self._required is None:
            return
        begun = monotonic()
        mark = await self.read_mark()
        if mark != self._required:
            there = "the storage of another database is" if mark else "no storage is"
            raise StorageUnavailable from self._failure(f"{there} there; is STORAGE_URL right?")
        self._seen_at = begun

    async def _require_mark_seen(self) -> None:
        """Look at the mark unless it was seen within `SEEN_SECONDS`."""
        if monotonic() - self._seen_at > SEEN_SECONDS:
            await self._require_mark()

    def _failure(self, words: str) -> StoreFailure:
        return StoreFailure(f"{NAME} in {self._location}: {words}")
