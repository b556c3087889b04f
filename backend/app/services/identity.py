"""Whether a storage is the one of its database: both know an id (ADR 27).

A folder without the volume that should be mounted on it, or a bucket that was made anew, looks like
an empty storage, and a wrong one like a storage whose files are lost. Neither may be written to,
and no row or file is removed for what is found there.
"""

import asyncio
from typing import Final
from uuid import UUID, uuid4

from app.database.engine import Database, WriteSession
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.statements.installation import (
    lock_storage_id,
    read_storage_id,
    sample_keys,
    write_storage_id,
)
from app.storage.abilities import Mark, Marked
from app.storage.base import StorageBackend

SAMPLE: Final = 20
"""How many rows' files are searched for where no id is known yet."""


class WrongStorage(Exception):
    """The storage is not the one of the database; the sentence says what to do."""

    def __init__(self, location: str, found: str) -> None:
        super().__init__(
            f"The image storage {location} is not that of the database: {found}. Mount its volume "
            "or set DATA_DIR, STORAGE_URL or DATABASE_URL; if they do belong together, run "
            '`make fsck ARGS="--adopt-storage"` (in a container: `python -m app fsck '
            "--adopt-storage`)."
        )


class StorageIdentity:
    """Makes sure that a storage is the one of a database.

    Args:
        database: Knows the id, once there has been a storage.
        storage: Carries the id. One that cannot be mistaken for another is not checked.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage
        self._marked = storage if isinstance(storage, Marked) else None
        self._is_established = self._marked is None
        self._lock = asyncio.Lock()

    @property
    def location(self) -> str:
        """Where the storage is, for the operator; empty if it is nowhere in particular."""
        return self._marked.location if self._marked else ""

    async def require(self) -> None:
        """Do as `establish`, once.

        Raises:
            StorageUnavailable: If the storage is not the right one, or that cannot be determined.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if self._is_established:
            return
        async with self._lock:
            if not self._is_established:
                try:
                    await self.establish()
                except WrongStorage as error:
                    raise StorageUnavailable from error

    async def establish(self) -> None:
        """Check that database and storage belong together, and make the storage check it itself.

        Where both are new they get an id, and where the storage holds the images of a database that
        knew no ids yet.

        Raises:
            WrongStorage: If they do not belong together.
            StorageError: If the storage cannot be asked or marked.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if self._marked is None:
            return
        async with self._database.read() as session:
            known = await read_storage_id(session)
        if known is None or await self._marked.read_mark() != Mark(known):
            known = await self._mark(adopt=False)
        self._marked.require_mark(known)
        self._is_established = True

    async def adopt(self) -> None:
        """Mark the storage with the database's id, whatever it was marked with.

        A service over another database notices at once that the storage is no longer its own.

        Raises:
            StorageError: If it cannot be marked.
            DatabaseUnavailable: If the database cannot be asked.
        """
        await self._mark(adopt=True)

    async def _mark(self, *, adopt: bool) -> UUID:
        """Mark the storage, and return its id.

        The mark is unconfirmed until the database knows the id: a process that is killed between
        the two leaves nothing that the next start could mistake for another's.
        """
        assert self._marked  # noqa: S101 - the callers have looked
        async with self._database.write() as session:
            known = await lock_storage_id(session)
            mark = None if adopt else await self._marked.read_mark()
            if known is None:
                if not adopt:
                    await self._require_same_images(session, self._marked, mark)
                is_known = mark and mark.is_confirmed
                storage_id = mark.storage_id if mark and is_known else uuid4()
                if not is_known:
                    await self._marked.write_mark(Mark(storage_id, is_confirmed=False))
                await write_storage_id(session, storage_id)
            else:
                storage_id = known
                if not adopt and (mark is None or mark.storage_id != known):
                    there = f"the id {mark.storage_id} is there" if mark else "there is none"
                    found = f"the id {known} was expected, and {there}"
                    raise WrongStorage(self._marked.location, found)
        await self._marked.write_mark(Mark(storage_id))
        return storage_id

    async def _require_same_images(
        self, session: WriteSession, storage: Marked, mark: Mark | None
    ) -> None:
        """Check that database and storage hold the same images, or none, as there is no id yet.

        Raises:
            WrongStorage: If they do not.
        """
        keys = await sample_keys(session, SAMPLE)
        if any([await self._holds(key) for key in keys]):
            return
        if keys:
            found = f"of its images, {len(keys)} were looked for there and none was found"
        elif mark and mark.is_confirmed:
            found = f"it belongs to another, under the id {mark.storage_id}, and this one is new"
        elif await storage.holds_objects():
            found = "it holds images, and the database knows of none"
        else:
            return
        raise WrongStorage(storage.location, found)

    async def _holds(self, key: str) -> bool:
        try:
            await self._storage.stat(key)
        except (ObjectNotFound, StorageUnavailable):  # the latter where not even a folder is there
            return False
        return True


async def require_unused(storage: StorageBackend) -> None:
    """Check that a storage belongs to no database, where a new one is about to be made.

    Raises:
        WrongStorage: If it is marked, or holds images.
        StorageUnavailable: If that cannot be determined.
    """
    if isinstance(storage, Marked) and (await storage.read_mark() or await storage.holds_objects()):
        raise WrongStorage(storage.location, "it is in use, and the database is not there")
