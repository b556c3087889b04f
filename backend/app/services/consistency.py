"""Whether rows and files agree: one ordered pass over both, and the repair of what does not.

Safe beside a running service. The pass sees rows and files at different moments, so each
suspicion is looked at again, in the order in which the service works (ADR 0003), before it is a
finding; and what is younger than a grace period may belong to an upload under way.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from app.database import Database
from app.errors import ObjectNotFound
from app.services import catalog
from app.services.catalog import StoredFile
from app.services.storage.base import ObjectInfo, StagingArea, StorageBackend

ROWS_AT_ONCE: Final = 5000
"""Rows read with one query, and held in memory."""


class Kind(StrEnum):
    """What can be wrong."""

    FILE_WITHOUT_ROW = "file-without-row"
    ROW_WITHOUT_FILE = "row-without-file"
    WRONG_SIZE = "wrong-size"
    OLD_STAGING_FILE = "old-staging-file"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    key: str
    """Storage key, or name of a staging file."""
    size: int
    """Bytes of the file; where there is none, those that the row promises."""


class ConsistencyCheck:
    """Compares a database with a storage.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        grace: Files younger than this are left alone if nothing refers to them.
    """

    def __init__(self, database: Database, storage: StorageBackend, grace: timedelta) -> None:
        self._database = database
        self._storage = storage
        self._oldest_in_flight = datetime.now(UTC) - grace

    async def count_rows(self) -> int:
        """Tell how many rows there are to compare.

        Raises:
            DatabaseUnavailable: If it cannot be told.
        """
        async with self._database.read() as session:
            return await catalog.count(session)

    async def find(self, progress: Callable[[], object]) -> AsyncIterator[Finding]:
        """Go through everything, in bounded memory; `progress` is called for each row.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read.
            StorageUnavailable: If the files cannot all be listed.
        """
        rows, files = self._rows(), self._storage.list()
        row, file = await anext(rows, None), await anext(files, None)
        while row or file:
            suspicion: Finding | None = None
            if row and (file is None or row.key < file.key):
                suspicion = await self._suspect_row(row)
                row = await anext(rows, None)
                progress()
            elif file and (row is None or file.key < row.key):
                suspicion = await self._suspect_file(file)
                file = await anext(files, None)
            elif row and file:
                if row.size != file.size:
                    suspicion = await self._suspect_row(row)
                row, file = await anext(rows, None), await anext(files, None)
                progress()
            if suspicion:
                yield suspicion
        if isinstance(self._storage, StagingArea):
            async for staged in self._storage.list_staged():
                if staged.modified < self._oldest_in_flight:
                    yield Finding(Kind.OLD_STAGING_FILE, staged.key, staged.size)

    async def repair(self, finding: Finding, *, delete_broken_rows: bool) -> bool:
        """Remove what a finding is about; tell whether that was done.

        Rows are removed only with `delete_broken_rows`, and then a file of the wrong size too.

        Raises:
            DatabaseUnavailable: If a row cannot be removed.
            StorageUnavailable: If a file cannot be removed.
        """
        match finding.kind:
            case Kind.FILE_WITHOUT_ROW:
                await self._storage.delete(finding.key)
            case Kind.OLD_STAGING_FILE if isinstance(self._storage, StagingArea):
                await self._storage.discard_staged(finding.key)
            case Kind.ROW_WITHOUT_FILE | Kind.WRONG_SIZE if delete_broken_rows:
                async with self._database.write() as session:
                    await catalog.remove_by_key(session, finding.key)
                await self._storage.delete(finding.key)
            case _:
                return False
        return True

    async def _rows(self) -> AsyncIterator[StoredFile]:
        last = ""
        while True:
            async with self._database.read() as session:
                rows = await catalog.files_after(session, last, ROWS_AT_ONCE)
            for row in rows:
                yield row
            if len(rows) < ROWS_AT_ONCE:
                return
            last = rows[-1].key

    async def _suspect_row(self, row: StoredFile) -> Finding | None:
        """Look again at a row whose file was missing or had another size.

        The file first: an upload publishes it before its row, a delete removes it after its row.
        So if the row is still there when the file has been looked at, they disagree.
        """
        try:
            size = (await self._storage.stat(row.key)).size
        except ObjectNotFound:
            finding = Finding(Kind.ROW_WITHOUT_FILE, row.key, row.size)
        else:
            finding = Finding(Kind.WRONG_SIZE, row.key, size)
            if size == row.size:
                return None
        return finding if await self._promised(row.key) else None

    async def _suspect_file(self, file: ObjectInfo) -> Finding | None:
        """Look again at a file for which no row was seen."""
        if file.modified >= self._oldest_in_flight or await self._promised(file.key):
            return None
        return Finding(Kind.FILE_WITHOUT_ROW, file.key, file.size)

    async def _promised(self, key: str) -> bool:
        async with self._database.read() as session:
            return await catalog.find_file(session, key) is not None
