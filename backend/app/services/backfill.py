"""Filling in what rows of earlier versions lack, from their files: one ordered pass.

Safe beside a running service, and beside another run: only what a row still lacks is written, and
rows that are deleted during the run are skipped. So a run that was stopped is simply started again:
it passes complete rows at the speed of an index, and reads files whose header has no size once more
(ADR 17, 26).
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from typing import Final

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.domain.image import IncompleteRow
from app.imaging.formats import ImageType
from app.imaging.inspection import Inspection
from app.services.changes import Changes
from app.statements.backfill import FoundFacts, complete_rows, count_incomplete, list_incomplete
from app.statements.fsck import find_file
from app.storage.base import ObjectReader, StorageBackend

ROWS_READ_AT_ONCE: Final = 5000
"""Rows of one query, complete already or not."""
BATCH_ROWS: Final = 500
"""Most rows completed in one short transaction."""
BATCH_BYTES: Final = 256 * 1024 * 1024
"""Bytes read before the rows are written, so that little is read again after a stop."""


class Outcome(StrEnum):
    """What became of one row."""

    FILLED_IN = "filled in"
    NO_SIZE = "with no size in a header that can be read"
    UNREADABLE = "whose file cannot be read"
    WRONG_SIZE = "whose file has another length"
    FILE_MISSING = "without their file"
    DELETED = "deleted in between"


Progress = Callable[[IncompleteRow, Outcome], object]


class Backfill:
    """Completes rows of images that earlier versions stored.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        cache: Has some of the rows, maybe.
    """

    def __init__(
        self, database: Database, storage: StorageBackend, cache: Cache | None = None
    ) -> None:
        self._database = database
        self._changes = Changes(database, cache)
        self._storage = storage

    async def count(self) -> int:
        """Return how many rows lack something.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
        """
        async with self._database.read() as session:
            return await count_incomplete(session)

    async def run(self, progress: Progress) -> None:
        """Complete every row, in bounded memory; report each row with its outcome.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read and written.
            StorageUnavailable: If the storage is unavailable.
        """
        last: str | None = ""
        while last is not None:
            async with self._database.read() as session:
                rows, last = await list_incomplete(session, last, ROWS_READ_AT_ONCE)
            batch: list[IncompleteRow] = []
            for row in rows:
                batch.append(row)
                size = sum(row.file_size for row in batch)
                if len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
                    await self._complete(batch, progress)
                    batch = []
            await self._complete(batch, progress)

    async def _complete(self, rows: list[IncompleteRow], progress: Progress) -> None:
        found: list[FoundFacts] = []
        outcomes = [await self._read(row, found) for row in rows]
        if found:
            async with self._changes.of([row.id for row in found]) as session:
                await complete_rows(session, found)
        for row, outcome in zip(rows, outcomes, strict=True):
            progress(row, outcome)

    async def _read(self, row: IncompleteRow, found: list[FoundFacts]) -> Outcome:
        try:
            reader = await self._storage.open(row.key)
            try:
                if reader.size != row.file_size:
                    return Outcome.WRONG_SIZE
                facts = await (_read_header if row.has_checksum else _read_all)(row, reader)
            finally:
                await reader.close()
        except ObjectNotFound:
            async with self._database.read() as session:
                has_row = await find_file(session, row.key)
            return Outcome.FILE_MISSING if has_row else Outcome.DELETED
        except StorageUnavailable:
            with suppress(ObjectNotFound):
                await self._storage.stat(row.key)  # the storage is there: it is this one file
            return Outcome.UNREADABLE
        found.append(facts)
        return Outcome.NO_SIZE if facts.width is None else Outcome.FILLED_IN


async def _read_all(row: IncompleteRow, reader: ObjectReader) -> FoundFacts:
    checksum = sha256()
    inspection = Inspection(ImageType(row.content_type), everywhere=True)
    while block := await reader.read():
        checksum.update(block)
        inspection.feed(block)
    width, height, truncated = inspection.facts()
    return FoundFacts(row.id, width, height, checksum.digest(), truncated)


async def _read_header(row: IncompleteRow, reader: ObjectReader) -> FoundFacts:
    inspection = Inspection(ImageType(row.content_type))
    while not inspection.has_header and (block := await reader.read()):
        inspection.feed(block)
    width, height = inspection.dimensions() or (None, None)
    return FoundFacts(row.id, width, height, None, None)
