"""Whether rows and files agree: one ordered pass over both, and the repair of what does not.

A thumbnail that is missing is no finding: it is rendered again when it is asked for.

Safe beside a running service. The pass sees rows and files at different times, so each suspicion
is checked again, in the order in which the service works (ADR 0003), before it is a finding, and
once more before it is repaired; and what is younger than a grace period may belong to an upload in
progress.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.domain.image import StoredFile
from app.domain.thumbnails import is_thumbnail
from app.services.changes import Changes
from app.services.fsck_findings import BROKEN_ROWS, Finding, Kind
from app.statements.fsck import Totals, find_file, list_files, sum_up_images
from app.statements.images import delete_images
from app.statements.storage_use import correct_use, find_wrong_uses
from app.storage.abilities import StagingArea, UnlistedUploads
from app.storage.base import ObjectInfo, Skipped, StorageBackend, ignore

ROWS_AT_ONCE: Final = 5000
"""Rows read with one query, and held in memory."""
MOST_AHEAD: Final = timedelta(days=1)
"""How far ahead another machine's clock may date the file of an upload in progress."""


class _Expected(NamedTuple):
    """A file that a row names."""

    key: str
    row: StoredFile | None = None
    """What it promises of its original; None of a thumbnail, which may be missing."""


@dataclass
class ConsistencyCheck:
    """Compares a database with a storage.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        grace: Files younger than this are left alone if nothing refers to them.
        checksums: Whether to read every file whose checksum is known.
        after: The key after which to begin; "" = at the first.
        cache: Has some of the rows, maybe; needed where rows are removed.
    """

    database: Database
    storage: StorageBackend
    grace: timedelta
    _: KW_ONLY
    checksums: bool = False
    after: str = ""
    cache: Cache | None = None

    def __post_init__(self) -> None:
        self._oldest_in_flight = datetime.now(UTC) - self.grace
        self.has_unlisted_uploads = False
        """Whether the storage did not list what uploads have left."""

    async def totals(self) -> Totals:
        """Return how many rows there are, and the bytes that they promise.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
        """
        async with self.database.read() as session:
            return await sum_up_images(session)

    async def find(
        self, progress: Callable[[StoredFile], object], skipped: Skipped = ignore
    ) -> AsyncIterator[Finding]:
        """Compare everything, in bounded memory.

        Args:
            progress: Called for each row when it has been compared.
            skipped: Called with the name of whatever is no file of the service's.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read.
            StorageUnavailable: If the files cannot all be listed.
        """
        expected, files = self._expected(), self._files(skipped)
        due, file = await anext(expected, None), await anext(files, None)
        while due or file:
            suspicion = None
            if due is None or (file and file.key < due.key):
                assert file  # noqa: S101 - one of the two is there
                suspicion = await self._suspect_file(file)
                file = await anext(files, None)
            else:
                found = file if file and file.key == due.key else None
                if row := due.row:
                    if found is None or found.size != row.size or self._must_read(row):
                        suspicion = await self._suspect_row(row)
                    progress(row)
                if found:
                    file = await anext(files, None)
                due = await anext(expected, None)
            if suspicion:
                yield suspicion
        if isinstance(self.storage, StagingArea):
            async for finding in self._leftovers(self.storage, skipped):
                yield finding
        async with self.database.read() as session:
            wrong = await find_wrong_uses(session)
        for user_id, (size, _) in wrong.items():
            yield Finding(Kind.WRONG_USE, str(user_id), size)

    async def repair(self, finding: Finding, *, delete_broken_rows: bool) -> bool:
        """Repair what a finding is about, if it is still wrong; return whether that was done.

        Rows are removed only with `delete_broken_rows`, and then a damaged file too, and the
        thumbnails that were made of it.

        Raises:
            DatabaseUnavailable: If a row cannot be removed.
            StorageUnavailable: If a file cannot be removed.
        """
        match finding.kind:
            case Kind.FILE_WITHOUT_ROW | Kind.STALE_THUMBNAIL:
                if await self._row(finding.key):
                    return False
                await self.storage.delete(finding.key)
            case Kind.OLD_STAGING_FILE if isinstance(self.storage, StagingArea):
                await self.storage.discard_staged(finding.key)
            case Kind.WRONG_USE:
                async with self.database.write() as session:
                    return await correct_use(session, UUID(finding.key))
            case kind if kind in BROKEN_ROWS and delete_broken_rows:
                row = await self._row(finding.key)
                again = await self._suspect_row(row) if row else None
                if row is None or again is None:
                    return False
                async with Changes(self.database, self.cache).of([row.id]) as session:
                    deleted = await delete_images(session, [row.id])
                for key in deleted.get(row.id, ()):
                    if key != finding.key or again.kind is not Kind.ROW_WITHOUT_FILE:
                        await self.storage.delete(key)
            case _:
                return False
        return True

    async def _expected(self) -> AsyncIterator[_Expected]:
        """Yield the files that rows name, in the order of their keys."""
        last = self.after
        while True:
            async with self.database.read() as session:
                rows = await list_files(session, last, ROWS_AT_ONCE)
            for row in rows:
                for key in sorted(row.thumbnails):
                    yield _Expected(key)
                yield _Expected(row.key, row)
            if len(rows) < ROWS_AT_ONCE:
                return
            last = rows[-1].key

    async def _files(self, skipped: Skipped) -> AsyncIterator[ObjectInfo]:
        async for file in self.storage.list(skipped):
            if file.key > self.after:
                yield file

    async def _leftovers(self, area: StagingArea, skipped: Skipped) -> AsyncIterator[Finding]:
        try:
            async for staged in area.list_staged(skipped):
                if not self._may_be_in_flight(staged):
                    yield Finding(Kind.OLD_STAGING_FILE, staged.key, staged.size)
        except UnlistedUploads:
            self.has_unlisted_uploads = True

    def _must_read(self, row: StoredFile) -> bool:
        return self.checksums and row.checksum is not None

    async def _suspect_row(self, row: StoredFile) -> Finding | None:
        """Check again a row whose file may be missing or damaged.

        The file first: an upload publishes it before its row, a delete removes it after its row.
        So if the row is still there after the file was checked, they disagree.
        """
        try:
            size = (await self.storage.stat(row.key)).size
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
        """Read a file, if asked to, and return what is wrong with its bytes."""
        if not self._must_read(row):
            return None
        try:
            return None if await self._checksum(row) == row.checksum else Kind.CORRUPT
        except StorageUnavailable:
            await self.storage.stat(row.key)  # the storage is there: it is this one file
            return Kind.UNREADABLE

    async def _checksum(self, row: StoredFile) -> bytes:
        checksum = sha256()
        reader = await self.storage.open(row.key)
        try:
            while block := await reader.read():
                checksum.update(block)
        finally:
            await reader.close()
        return checksum.digest()

    async def _suspect_file(self, file: ObjectInfo) -> Finding | None:
        """Check again a file that none of the rows read has named."""
        if self._may_be_in_flight(file) or await self._row(file.key):
            return None
        kind = Kind.STALE_THUMBNAIL if is_thumbnail(file.key) else Kind.FILE_WITHOUT_ROW
        return Finding(kind, file.key, file.size)

    def _may_be_in_flight(self, file: ObjectInfo) -> bool:
        """Return whether an upload in progress may have written a file, by its modification time.

        One dated far in the future was written while a clock was wrong; it would never grow old.
        """
        return self._oldest_in_flight <= file.modified <= datetime.now(UTC) + MOST_AHEAD

    async def _row(self, key: str) -> StoredFile | None:
        async with self.database.read() as session:
            return await find_file(session, key)
