"""What rows of earlier versions lack, read from their files: one ordered pass.

Safe beside a running service, and beside another run of its own: a row is given only what it still
lacks, one that was deleted in between is passed over, and what is written is what the file tells.
So a run that was stopped is simply run again; it goes over what is done at the speed of an index,
and over what no header tells once more (ADR 17, 26).
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from typing import Final

from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.imaging.dimensions import HeaderReader
from app.imaging.formats import ImageType
from app.imaging.inspection import Inspection
from app.statements.backfill import (
    FoundFacts,
    IncompleteRow,
    complete_rows,
    count_incomplete,
    has_row,
    list_incomplete,
)
from app.storage.base import ObjectReader, StorageBackend

LOOKED_AT_ONCE: Final = 5000
"""Rows read at once, complete already or not."""
ROWS_AT_ONCE: Final = 500
"""Most rows filled in with one short transaction."""
BYTES_AT_ONCE: Final = 256 * 1024 * 1024
"""Bytes read until what they told is written, so that little is read again after a stop."""


class Outcome(StrEnum):
    """What became of one row."""

    FILLED_IN = "filled in"
    NO_SIZE = "with no size in a header that can be read"
    UNREADABLE = "whose file cannot be read"
    WRONG_SIZE = "whose file has another length"
    FILE_MISSING = "without their file"
    DELETED = "deleted in between"


class Backfill:
    """Fills in what uploads to earlier versions did not store.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage

    async def count(self) -> int:
        """Return how many rows lack something.

        Raises:
            DatabaseUnavailable: If it cannot be told.
        """
        async with self._database.read() as session:
            return await count_incomplete(session)

    async def run(self, progress: Callable[[IncompleteRow, Outcome], object]) -> None:
        """Fill in every row, in bounded memory; report row and outcome when it is done.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read and written.
            StorageUnavailable: If the storage is away.
        """
        last: str | None = ""
        while last is not None:
            async with self._database.read() as session:
                rows, last = await list_incomplete(session, last, LOOKED_AT_ONCE)
            group: list[IncompleteRow] = []
            for row in rows:
                group.append(row)
                size = sum(row.file_size for row in group)
                if len(group) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
                    await self._fill(group, progress)
                    group = []
            await self._fill(group, progress)

    async def _fill(
        self, rows: list[IncompleteRow], progress: Callable[[IncompleteRow, Outcome], object]
    ) -> None:
        found: list[FoundFacts] = []
        outcomes = [await self._look(row, found) for row in rows]
        if found:
            async with self._database.write() as session:
                await complete_rows(session, found)
        for row, outcome in zip(rows, outcomes, strict=True):
            progress(row, outcome)

    async def _look(self, row: IncompleteRow, found: list[FoundFacts]) -> Outcome:
        try:
            reader = await self._storage.open(row.key)
            try:
                if reader.size != row.file_size:
                    return Outcome.WRONG_SIZE
                told = await (_read_header if row.has_checksum else _read_all)(row, reader)
            finally:
                await reader.close()
        except ObjectNotFound:
            async with self._database.read() as session:
                return Outcome.FILE_MISSING if await has_row(session, row.key) else Outcome.DELETED
        except StorageUnavailable:
            with suppress(ObjectNotFound):
                await self._storage.stat(row.key)  # the storage is there: it is this one file
            return Outcome.UNREADABLE
        found.append(told)
        return Outcome.NO_SIZE if told.width is None else Outcome.FILLED_IN


async def _read_all(row: IncompleteRow, reader: ObjectReader) -> FoundFacts:
    checksum = sha256()
    inspection = Inspection(ImageType(row.content_type), everywhere=True)
    while block := await reader.read():
        checksum.update(block)
        inspection.feed(block)
    facts = await inspection.facts()
    return FoundFacts(row.id, facts.width, facts.height, checksum.digest(), facts.truncated)


async def _read_header(row: IncompleteRow, reader: ObjectReader) -> FoundFacts:
    header = HeaderReader(ImageType(row.content_type))
    while not header.complete and (block := await reader.read()):
        header.feed(block)
    width, height = await header.measure() or (None, None)
    return FoundFacts(row.id, width, height, None, None)
