"""Letting the files of equal images share their bytes, after their rows are committed (ADR 66).

Safe beside a running service, and beside another run. The bytes are compared before: a corrupt file
takes no other's place.
"""

import logging
from collections.abc import Callable
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.observability.reasons import reason
from app.statements.sharing import (
    count_with_earlier_equals,
    find_earlier_equals,
    list_with_earlier_equals,
)
from app.storage.abilities import Shares, Sharing
from app.storage.base import StorageBackend

ROWS_READ_AT_ONCE: Final = 5000
"""Rows of one query, with equal ones or not."""

Progress = Callable[[Sharing | None], object]
"""Takes what became of an image; None if it, or all equal ones, are gone or cannot be read."""

_log = logging.getLogger(__name__)


class ByteSharing:
    """Lets equal files share their bytes, where the storage can do that.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage

    async def count(self) -> int:
        """Return how many images there are to which there are older ones of equal bytes.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
        """
        if not isinstance(self._storage, Shares):
            return 0
        async with self._database.read() as session:
            return await count_with_earlier_equals(session)

    async def run(self, progress: Progress) -> None:
        """Let all equal files share their bytes, and report each image to which there is an older.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read.
            StorageError: If the storage is unavailable, or full.
        """
        last: str | None = "" if isinstance(self._storage, Shares) else None
        while last is not None:
            async with self._database.read() as session:
                ids, last = await list_with_earlier_equals(session, last, ROWS_READ_AT_ONCE)
            for image_id in ids:
                progress(await self.share(image_id))

    async def share(self, image_id: UUID) -> Sharing | None:
        """Let the file of an image share the bytes of an older one.

        Those of the first. If that has as many names as it may have, or is corrupt, those of the
        latest: so of many equal files nearly all share, and none goes on to another that moves.

        Returns:
            What became of it; None where there is nothing to share, or that can be read.

        Raises:
            DatabaseUnavailable: If the rows cannot be read.
            StorageError: If the storage is unavailable, or full.
        """
        if not isinstance(self._storage, Shares):
            return None
        async with self._database.read() as session:
            found = await find_earlier_equals(session, image_id)
        outcome = None
        for twin in dict.fromkeys(found[1:]) if found else ():
            outcome = await self._share(self._storage, found.key, twin) if found else None
            if outcome in {Sharing.DONE, Sharing.BEFORE}:
                break
        return outcome

    async def _share(self, storage: Shares, key: str, twin: str) -> Sharing | None:
        try:
            outcome = await storage.share(key, twin)
        except ObjectNotFound:
            return None  # deleted, or missing, which fsck finds
        except StorageUnavailable as error:
            await self._storage.stat(key)  # the storage is there: it is one of these two files
            _log.error("%s and %s cannot be compared: %s", key, twin, reason(error))
            return None
        if outcome is Sharing.DIFFERENT:
            _log.error(
                "%s and %s had the same checksum when they were uploaded, and differ: one of them "
                "is corrupt, see `make fsck ARGS=--checksums`",
                key,
                twin,
            )
        return outcome
