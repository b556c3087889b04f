"""Moving all objects to another storage, beside a running service (ADR 59).

What is about to be copied is noted before, and what was compared after it, for the run after one
that was killed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Final, NamedTuple

from app.database.engine import Database
from app.services.copying import FAILED, Copier, Outcome, Pair
from app.services.identity import StorageIdentity
from app.services.move_record import MoveRecord
from app.statements.moving import read_checksums
from app.storage.base import ObjectInfo, StorageBackend

AT_ONCE: Final = 16
"""Objects that are copied concurrently."""
GROUP_OBJECTS: Final = 256
GROUP_BYTES: Final = 256 * 1024 * 1024
"""What is copied before it is noted; at most so much is compared again after a kill."""
MOST_FAILED: Final = 1000
"""Damaged objects in the source, before the run ends: each is noted."""

Progress = Callable[[ObjectInfo, Outcome, int], object]
"""Takes each object of the source, what became of it, and the number of the pass."""


class TooManyFailures(Exception):
    """The source is damaged beyond a few objects."""

    def __init__(self) -> None:
        super().__init__(
            f"more than {MOST_FAILED} files are damaged; see `make fsck ARGS=--checksums`"
        )


class Totals(NamedTuple):
    """How many objects there are, and their bytes."""

    objects: int
    bytes: int


class Move:
    """Copies what the source has, until the destination has all of it.

    Args:
        database: Where the rows are, with the checksums of originals.
        source: Where the objects are; it is only read.
        destination: Where they are to be.
        identity: Of both.
        record: How far earlier runs came.
    """

    def __init__(
        self,
        database: Database,
        source: StorageBackend,
        destination: StorageBackend,
        identity: StorageIdentity,
        record: MoveRecord,
    ) -> None:
        self._database = database
        self._source = source
        self._destination = destination
        self._identity = identity
        self._record = record
        self._copier = Copier(source, destination)
        self._failed: set[str] = set()

    async def count(self) -> Totals:
        """Return what there is to move.

        Raises:
            StorageUnavailable: If it cannot be listed.
        """
        objects = size = 0
        async for file in self._source.list():
            objects += 1
            size += file.size
        return Totals(objects, size)

    async def run(self, progress: Progress, *, is_copy: bool) -> bool:
        """Copy and compare everything; return whether all of it is in the destination, verified.

        Passes over both end when one finds nothing to do: a server process that does not know of
        the destination yet may add to the source. To make a copy of one that is in use, there is
        one pass: what is there when it begins.

        Raises:
            WrongStorage: If they are not those of the database.
            DatabaseUnavailable: If a checksum cannot be read.
            StorageError: If one of the storages is unavailable or full, or the destination does not
                return what was written.
            TooManyFailures: If the source is damaged.
            OSError: If the record cannot be written.
        """
        await self._identity.establish()
        await self._destination.prepare()
        await self._copier.settle(sorted(self._record.doubtful))
        for number in count(1):
            worked = await self._pass(number, progress)
            await self._identity.establish()  # so that no list was that of an empty mount point
            if is_copy or not worked:
                self._record.doubtful = self._failed
                self._record.write()
                return not self._failed
        raise AssertionError

    async def _pass(self, number: int, progress: Progress) -> int:
        """Copy what is to be copied; return how many objects were looked at."""
        group: list[Pair] = []
        worked = size = 0
        async for pair in self._pairs():
            if self._is_verified(pair):
                if number == 1:
                    progress(pair.file, Outcome.EARLIER, number)
                continue
            if pair.file.key in self._failed:
                continue
            group.append(pair)
            size += pair.file.size
            if len(group) == GROUP_OBJECTS or size >= GROUP_BYTES:
                await self._compare(group, number, progress)
                worked, size, group = worked + len(group), 0, []
        await self._compare(group, number, progress)
        return worked + len(group)

    async def _pairs(self) -> AsyncIterator[Pair]:
        """Yield the objects of the source, each with the size of that in the destination."""
        copies = self._destination.list()
        copy = await anext(copies, None)
        async for file in self._source.list():
            while copy and copy.key < file.key:
                copy = await anext(copies, None)
            yield Pair(file, copy.size if copy and copy.key == file.key else None)

    def _is_verified(self, pair: Pair) -> bool:
        key = pair.file.key
        has_copy = pair.copied == pair.file.size
        return has_copy and key <= self._record.verified and key not in self._record.doubtful

    async def _compare(self, group: list[Pair], number: int, progress: Progress) -> None:
        """Have each object of a group in the destination, and note that."""
        if not group:
            return
        keys = [pair.file.key for pair in group]
        async with self._database.read() as session:
            checksums = await read_checksums(session, keys)
        self._record.doubtful.update(keys)
        self._record.write()
        limit = asyncio.Semaphore(AT_ONCE)

        async def compare_one(pair: Pair) -> None:
            async with limit:
                outcome = await self._copier.bring(pair, checksums.get(pair.file.key))
            if outcome in FAILED:
                self._failed.add(pair.file.key)
            else:
                self._record.doubtful.discard(pair.file.key)
            progress(pair.file, outcome, number)

        tasks = [asyncio.create_task(compare_one(pair)) for pair in group]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        self._record.verified = max(self._record.verified, keys[-1])
        self._record.write()
        if len(self._failed) > MOST_FAILED:
            raise TooManyFailures
