"""Whether the database and the storage can be used, found out at a cost that is bounded.

Anyone may ask, as load balancers do several times a second, and strangers a thousand times. Where
nobody does, requests and jobs that fail have it checked, and so it is until it can be used again:
while all is well that costs nothing, and the log has each change once (ADR 74).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from errno import ETIMEDOUT
from time import monotonic
from typing import Final

from app.cache.base import Cache, CacheFigures
from app.database.engine import Database
from app.database.failures import unavailable_at
from app.domain.errors import (
    DatabaseUnavailable,
    ImageHostError,
    StorageError,
    StorageUnavailable,
)
from app.observability.availability import Availability
from app.observability.reasons import reason
from app.services.identity import StorageIdentity
from app.statements.jobs import age_of_oldest_job
from app.statements.readiness import require_writable_table
from app.storage.base import StorageBackend

PROBE_INTERVAL: Final = 1.0
"""Seconds from the start of one check to that of the next; its result serves until then."""
PROBE_DEADLINE: Final = 5.0
"""Seconds for a check; one that takes longer counts as a failure, and no other starts beside it."""
CLOSE_SECONDS: Final = 1.0
"""How long a check that is cancelled may take to end: one of a disk that hangs ends with that."""


class Readiness:
    """Probes the database and the storage, and logs what becomes unavailable.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        identity: Makes sure that the two belong together.
        cache: Reported on, but nothing depends on it.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageBackend,
        identity: StorageIdentity,
        cache: Cache | None = None,
    ) -> None:
        self._database = database
        self._storage = storage
        self._identity = identity
        self._cache = cache
        self._database_probe = Probe(
            self._probe_database, self._database_overdue, Availability("database")
        )
        self._storage_probe = Probe(
            self._probe_storage, self._storage_overdue, Availability("storage")
        )
        self._probes = {"database": self._database_probe, "storage": self._storage_probe}
        self._oldest_job: int | None = None
        self._queue = Probe(self._read_oldest_job, self._database_overdue)

    def add(self, name: str, probe: "Probe") -> None:
        """Add what else the process cannot do without."""
        self._probes[name] = probe

    def suspect(self, error: BaseException) -> None:
        """Check what an error says of: the database, or the storage; or nothing."""
        if isinstance(error, DatabaseUnavailable):
            self._database_probe.watch()
        elif isinstance(error, StorageError):
            self._storage_probe.watch()

    async def close(self) -> None:
        """Check nothing any more."""
        for probe in (*self._probes.values(), self._queue):
            await probe.close()

    async def prepare_storage(self) -> None:
        """Set up the storage, if it is the right one.

        Raises:
            StorageError: If it is not, or cannot be set up. Nothing is done where only the
                database knows, and is unavailable.
        """
        with suppress(DatabaseUnavailable):
            await self._identity.require()
            await self._storage.prepare()

    async def outages(self) -> dict[str, ImageHostError]:
        """Return why the database and the storage cannot be used; none of those that can be."""
        errors = await asyncio.gather(*(probe.outage() for probe in self._probes.values()))
        probed = zip(self._probes, errors, strict=True)
        return {name: error for name, error in probed if error is not None}

    async def oldest_job_seconds(self) -> int | None:
        """Return for how many seconds the oldest job has been queued; None if that is not known."""
        return self._oldest_job if await self._queue.outage() is None else None

    def cache_figures(self) -> CacheFigures | None:
        """Return what this process has seen of the cache; None if there is none."""
        return self._cache.figures if self._cache else None

    async def outage(self, name: str) -> ImageHostError | None:
        """Return why the `database` or the `storage` cannot be used; None if it can."""
        return await self._probes[name].outage()

    async def lacks_database(self) -> bool:
        """Return whether the database cannot be used."""
        return await self._database_probe.outage() is not None

    async def _probe_database(self) -> None:
        async with self._database.read() as session:
            await require_writable_table(session)

    async def _read_oldest_job(self) -> None:
        async with self._database.read() as session:
            age = await age_of_oldest_job(session)
        self._oldest_job = int(age.total_seconds()) if age else 0

    async def _probe_storage(self) -> None:
        """Prove that the storage is the right one and could be written now."""
        with suppress(DatabaseUnavailable):
            await self._identity.require()
            await self._storage.probe()

    def _database_overdue(self) -> ImageHostError:
        return DatabaseUnavailable(unavailable_at(self._database.place, TimeoutError()))

    def _storage_overdue(self) -> ImageHostError:
        error = StorageUnavailable()
        words = f"no answer for {PROBE_DEADLINE:g} s"
        error.__cause__ = TimeoutError(ETIMEDOUT, words, self._identity.location)
        return error


class Probe:
    """Checks one dependency.

    Args:
        check: Raises an `ImageHostError` if the dependency cannot be used.
        overdue: Makes the error of a check that is not over by its deadline.
        availability: Learns what was found out; once it is lost, the dependency is checked until it
            is regained. None = nothing is logged.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[None]],
        overdue: Callable[[], ImageHostError],
        availability: Availability | None = None,
    ) -> None:
        self._check = check
        self._overdue = overdue
        self._availability = availability
        self._begun = 0.0
        self._latest: asyncio.Task[ImageHostError | None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def outage(self) -> ImageHostError | None:
        """Return why the dependency cannot be used, None if it can; not older than the interval."""
        check = self._latest
        if check is None or (check.done() and monotonic() - self._begun >= PROBE_INTERVAL):
            self._begun = monotonic()
            # For many who ask, so it logs under the id of none.
            check = self._latest = asyncio.create_task(self._failure(), context=Context())
        # Not wait_for, which would wait for the end of a check that cannot be cancelled.
        await asyncio.wait([check], timeout=self._begun + PROBE_DEADLINE - monotonic())
        if check.done():
            return check.result()
        error = self._overdue()
        self._lose(error)
        return error

    def watch(self) -> None:
        """Check now, and as long as the dependency cannot be used, again and again."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), context=Context())

    async def close(self) -> None:
        """Cancel what is in progress, as far as it can be."""
        tasks = [task for task in (self._watching, self._latest) if task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)

    async def _watch(self) -> None:
        try:
            await self.outage()  # which may be known from before what was to be checked
            while True:
                await asyncio.sleep(PROBE_INTERVAL)
                if await self.outage() is None:
                    return
        finally:
            self._watching = None

    def _lose(self, error: ImageHostError) -> None:
        if self._availability:
            self._availability.lose(reason(error))
            self.watch()

    async def _failure(self) -> ImageHostError | None:
        try:
            await self._check()
        except ImageHostError as error:
            self._lose(error)
            return error
        if self._availability:
            self._availability.regain()
        return None
