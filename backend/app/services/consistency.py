"""Whether rows and files agree: one ordered pass over both, and the repair of what does not.

Safe beside a running service. The pass sees rows and files at different moments, so each
suspicion is looked at again, in the order in which the service works (ADR 0003), before it is a
finding, and once more before it is repaired; and what is younger than a grace period may belong to
an upload under way.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.domain.image import StoredFile
from app.statements.fsck import (
    Totals,
    delete_image_by_key,
    find_file,
    list_files,
    sum_up_images,
)
from app.storage.base import ObjectInfo, Skipped, StagingArea, StorageBackend, ignore

ROWS_AT_ONCE: Final = 5000
"""Rows read with one query, and held in memory."""
FEW: Final = 10
"""So many rows, or files without a row, are removed without being expected by number."""
MOST_AHEAD: Final = timedelta(days=1)
"""How far ahead another machine's clock may date the file of an upload under way."""


class Kind(StrEnum):
    """What can be wrong."""

    FILE_WITHOUT_ROW = "file-without-row"
    ROW_WITHOUT_FILE = "row-without-file"
    WRONG_SIZE = "wrong-size"
    CORRUPT = "corrupt"
    UNREADABLE = "unreadable"
    OLD_STAGING_FILE = "old-staging-file"


BROKEN_ROWS: Final = frozenset({Kind.ROW_WITHOUT_FILE, Kind.WRONG_SIZE, Kind.CORRUPT})
"""What only `delete_broken_rows` repairs: evidence of a loss."""


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
        checksums: Whether to read every file whose checksum is known.
        after: The key after which to begin; "" = at the first.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageBackend,
        grace: timedelta,
        *,
        checksums: bool = False,
        after: str = "",
    ) -> None:
        self._database = database
        self._storage = storage
        self._oldest_in_flight = datetime.now(UTC) - grace
        self._checksums = checksums
        self._after = after

    async def totals(self) -> Totals:
        """Return how many rows there are, and the bytes that they promise.

        Raises:
            DatabaseUnavailable: If it cannot be told.
        """
        async with self._database.read() as session:
            return await sum_up_images(session)

    async def find(
        self, progress: Callable[[StoredFile], object], skipped: Skipped = ignore
    ) -> AsyncIterator[Finding]:
        """Go through everything, in bounded memory.

        Args:
            progress: Called for each row when it has been compared.
            skipped: Called for each thing that is no file of the service's.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read.
            StorageUnavailable: If the files cannot all be listed.
        """
        rows, files = self._rows(), self._files(skipped)
        row, file = await anext(rows, None), await anext(files, None)
        while row or file:
            suspicion = None
            if row is None or (file and file.key < row.key):
                assert file  # noqa: S101 - one of the two is there
                suspicion = await self._suspect_file(file)
                file = await anext(files, None)
            else:
                if file is None or row.key < file.key:
                    suspicion = await self._suspect_row(row)
                else:
                    suspicion = await self._compare(row, file)
                    file = await anext(files, None)
                progress(row)
                row = await anext(rows, None)
            if suspicion:
                yield suspicion
        if isinstance(self._storage, StagingArea):
            async for staged in self._storage.list_staged(skipped):
                if not self._may_be_in_flight(staged):
                    yield Finding(Kind.OLD_STAGING_FILE, staged.key, staged.size)

    async def repair(self, finding: Finding, *, delete_broken_rows: bool) -> bool:
        """Remove what a finding is about, if it is still wrong; return whether that was done.

        Rows are removed only with `delete_broken_rows`, and then a damaged file too.

        Raises:
            DatabaseUnavailable: If a row cannot be removed.
            StorageUnavailable: If a file cannot be removed.
        """
        match finding.kind:
            case Kind.FILE_WITHOUT_ROW:
                if await self._row(finding.key):
                    return False
                await self._storage.delete(finding.key)
            case Kind.OLD_STAGING_FILE if isinstance(self._storage, StagingArea):
                await self._storage.discard_staged(finding.key)
            case kind if kind in BROKEN_ROWS and delete_broken_rows:
                row = await self._row(finding.key)
                again = await self._suspect_row(row) if row else None
                if again is None:
                    return False
                async with self._database.write() as session:
                    await delete_image_by_key(session, finding.key)
                if again.kind is not Kind.ROW_WITHOUT_FILE:
                    await self._storage.delete(finding.key)
            case _:
                return False
        return True

    async def _rows(self) -> AsyncIterator[StoredFile]:
        last = self._after
        while True:
            async with self._database.read() as session:
                rows = await list_files(session, last, ROWS_AT_ONCE)
            for row in rows:
                yield row
            if len(rows) < ROWS_AT_ONCE:
                return
            last = rows[-1].key

    async def _files(self, skipped: Skipped) -> AsyncIterator[ObjectInfo]:
        async for file in self._storage.list(skipped):
            if file.key > self._after:
                yield file

    async def _compare(self, row: StoredFile, file: ObjectInfo) -> Finding | None:
        if row.size == file.size and not (self._checksums and row.checksum):
            return None
        return await self._suspect_row(row)

    async def _suspect_row(self, row: StoredFile) -> Finding | None:
        """Look again at a row whose file may be missing or damaged.

        The file first: an upload publishes it before its row, a delete removes it after its row.
        So if the row is still there when the file has been looked at, they disagree.
        """
        try:
            size = (await self._storage.stat(row.key)).size
            if size != row.size:
                finding = Finding(Kind.WRONG_SIZE, row.key, size)
            elif kind := await self._judge_bytes(row):
                finding = Finding(kind, row.key, size)
            else:
                return None
        except ObjectNotFound:
            finding = Finding(Kind.ROW_WITHOUT_FILE, row.key, row.size)
        return finding if await self._row(row.key) else None

    async def _judge_bytes(self, row: StoredFile) -> Kind | None:
        """Read a file, if its checksum is known and asked for."""
        if not (self._checksums and row.checksum):
            return None
        try:
            return None if await self._checksum(row) == row.checksum else Kind.CORRUPT
        except StorageUnavailable:
            await self._storage.stat(row.key)  # the storage is there: it is this one file
            return Kind.UNREADABLE

    async def _checksum(self, row: StoredFile) -> bytes:
        checksum = sha256()
        reader = await self._storage.open(row.key)
        try:
            while block := await reader.read():
                checksum.update(block)
        finally:
            await reader.close()
        return checksum.digest()

    async def _suspect_file(self, file: ObjectInfo) -> Finding | None:
        """Look again at a file for which no row was seen."""
        if self._may_be_in_flight(file) or await self._row(file.key):
            return None
        return Finding(Kind.FILE_WITHOUT_ROW, file.key, file.size)

    def _may_be_in_flight(self, file: ObjectInfo) -> bool:
        """Return whether an upload under way may have written a file, by the time of the file.

        One dated far ahead was written while a clock was wrong; it would never grow old.
        """
        return self._oldest_in_flight <= file.modified <= datetime.now(UTC) + MOST_AHEAD

    async def _row(self, key: str) -> StoredFile | None:
        async with self._database.read() as session:
            return await find_file(session, key)


class Removals:
    """What a repair is to remove, held back until it is known that it was expected.

    Memory is bounded by what is expected. Staging files do not belong here: they are nobody's.

    Args:
        rows: How many rows there are.
        expected: How many rows and files without a row are to be removed; None = a few at most.
    """

    def __init__(self, rows: int, expected: int | None = None) -> None:
        self._rows = rows
        self._expected = expected
        self.count = Counter[Kind]()
        self.held: list[Finding] = []

    @property
    def are_expected(self) -> bool:
        """Whether they may be removed, now that all are known."""
        if self._expected is None:
            return not are_many(self.count, self._rows)
        return self.count.total() in {self._expected, 0}

    def hold(self, finding: Finding) -> list[Finding]:
        """Hold a finding; return all that are held, and let go of them, once there are too many."""
        self.count[finding.kind] += 1
        self.held.append(finding)
        if self._expected is None:
            too_many = are_many(self.count, self._rows)
        else:
            too_many = self.count.total() > self._expected
        if not too_many:
            return []
        held, self.held = self.held, []
        return held


def are_many(removals: Counter[Kind], rows: int) -> bool:
    """Return whether removals are more than a few, so that their number must be known before.

    Rows and files that do not belong together look like a loss: a wrong or half restored folder as
    if files were missing, a wrong database as if files had no rows.

    Args:
        removals: How many of each kind.
        rows: How many rows there are; to remove all of them is never few.
    """
    broken = sum(removals[kind] for kind in BROKEN_ROWS)
    return broken > FEW or 0 < rows <= broken or removals[Kind.FILE_WITHOUT_ROW] > FEW


def removed_kinds(*, delete_broken_rows: bool) -> frozenset[Kind]:
    """Return the kinds that a repair removes, besides old staging files."""
    return frozenset({Kind.FILE_WITHOUT_ROW}) | (BROKEN_ROWS if delete_broken_rows else frozenset())
