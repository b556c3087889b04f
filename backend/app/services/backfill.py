"""Width and height for the rows of before they were read at upload: one ordered pass.

Safe beside a running service, and beside another run of its own: a row is changed only where it
still lacks its dimensions, one that was deleted meanwhile is passed over, and what is written is
what the file says. So a run that was stopped is simply run again; it goes over what is done at the
speed of an index, and over what cannot be measured once more (ADR 0017).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from app.database import Database
from app.dimensions import MAX_HEADER_BYTES, Dimensions, HeaderReader
from app.errors import ObjectNotFound, StorageUnavailable
from app.image_types import ImageType
from app.services import catalog
from app.services.catalog import Measured, Unmeasured
from app.services.storage.base import StorageBackend

LOOKED_AT_ONCE: Final = 5000
"""Rows read at once, measured already or not."""
ROWS_AT_ONCE: Final = 500
"""Rows measured, and written in one short transaction."""


class Outcome(StrEnum):
    """What became of one row."""

    MEASURED = "measured"
    UNREADABLE = "with no size in a header that can be read"
    FILE_MISSING = "without their file"
    DELETED = "deleted meanwhile"


class DimensionsBackfill:
    """Fills in what uploads of before did not store.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage

    async def count(self) -> int:
        """Tell how many rows there are to measure, however long it takes to count them.

        Raises:
            DatabaseUnavailable: If it cannot be told.
        """
        async with self._database.maintain() as connection:
            return await catalog.count_unmeasured(connection)

    async def run(self, progress: Callable[[str, Outcome], object]) -> None:
        """Measure every row that lacks it, in bounded memory; tell key and outcome when it is done.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read and written.
            StorageUnavailable: If the storage is away.
        """
        last: str | None = ""
        while last is not None:
            async with self._database.read() as session:
                rows, last = await catalog.unmeasured_after(session, last, LOOKED_AT_ONCE)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                await self._fill(rows[start : start + ROWS_AT_ONCE], progress)

    async def _fill(
        self, rows: list[Unmeasured], progress: Callable[[str, Outcome], object]
    ) -> None:
        found: list[Measured] = []
        outcomes = [await self._measure(row, found) for row in rows]
        if found:
            async with self._database.write() as session:
                await catalog.set_dimensions(session, found)
        for row, outcome in zip(rows, outcomes, strict=True):
            progress(row.key, outcome)

    async def _measure(self, row: Unmeasured, found: list[Measured]) -> Outcome:
        try:
            dimensions = await self._read(row)
        except ObjectNotFound:
            async with self._database.read() as session:
                still_there = await catalog.find_file(session, row.key)
            return Outcome.FILE_MISSING if still_there else Outcome.DELETED
        except StorageUnavailable:
            await self._storage.check()  # the storage is there: it is this one file
            return Outcome.UNREADABLE
        if dimensions is None:
            return Outcome.UNREADABLE
        found.append(Measured(row.id, *dimensions))
        return Outcome.MEASURED

    async def _read(self, row: Unmeasured) -> Dimensions | None:
        header = HeaderReader(ImageType(row.content_type))
        reader = await self._storage.open(row.key, 0, MAX_HEADER_BYTES)
        try:
            while not header.complete and (block := await reader.read()):
                header.feed(block)
        finally:
            await reader.close()
        return await header.measure()
