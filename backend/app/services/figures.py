"""What is read of a service every few seconds, to know how it is (ADR 71).

Each part is read by itself, beside the others, and is None while it cannot be known. Nobody waits
for long: what takes longer, such as counting a million rows, is ready for the next who asks.
"""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.errors import CacheUnavailable, ImageHostError
from app.domain.job import TASKS, JobState
from app.observability.figures import (
    Dependency,
    Figures,
    Maintenance,
    QueuedJobs,
    Space,
    StatementTotals,
    StoredImages,
)
from app.observability.reasons import reason
from app.services.readiness import Readiness
from app.services.reading import SHARE, Reading
from app.statements.fsck import sum_up_images
from app.statements.installation import read_maintenance
from app.statements.jobs import count_jobs
from app.statements.slowest import list_slowest
from app.storage.abilities import HasSpace
from app.storage.base import StorageBackend

STATEMENTS: Final = 20
"""Of all that the database counts."""


class FigureReader:
    """Reads the figures.

    Args:
        database: Where rows and jobs are.
        storage: Where the files are.
        cache: If there is one.
        readiness: Knows whether database and storage can be used.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageBackend,
        cache: Cache | None,
        readiness: Readiness,
    ) -> None:
        self._database = database
        self._storage = storage
        self._cache = cache
        self._readiness = readiness
        self.latest: Figures | None = None
        """What was read last."""
        self._found: dict[str, Dependency] = {}
        # However long a probe takes, so that what is back is not called down for a minute.
        self._database_state = Reading(partial(self._probe, "database"), share=1)
        self._storage_state = Reading(partial(self._probe, "storage"), share=1)
        self._cache_state = Reading(self._probe_cache, share=1)
        self._queue = Reading(self._read_queue, SHARE)
        self._stored = Reading(self._read_stored, SHARE)
        self._space = Reading(self._read_space, SHARE)
        self._maintenance = Reading(self._read_maintenance, SHARE)
        self._statements = Reading(self._read_statements, SHARE)

    async def read(self) -> Figures:
        """Return the figures, read now or some seconds ago."""
        await asyncio.gather(*(reading.renew() for reading in self._readings))
        database = self._database_state.latest
        has_database = database is not None and database.is_up
        self.latest = Figures(
            database,
            self._storage_state.latest,
            self._cache_state.latest,
            self._queue.latest if has_database else None,
            self._stored.latest if has_database else None,
            self._space.latest,
            self._maintenance.latest if has_database else None,
            self._statements.latest if has_database else None,
        )
        return self.latest

    async def close(self) -> None:
        """End what is being read."""
        for reading in self._readings:
            await reading.cancel()

    @property
    def _readings(self) -> "tuple[Reading[Any], ...]":
        return (
            self._database_state,
            self._storage_state,
            self._cache_state,
            self._queue,
            self._stored,
            self._space,
            self._maintenance,
            self._statements,
        )

    async def _probe(self, name: str) -> Dependency:
        was = self._found.get(name)
        found = self._judge(name, await self._readiness.outage(name))
        if was and found.is_up and not was.is_up:
            for reading in self._readings:
                reading.repeat()
        return found

    async def _probe_cache(self) -> Dependency | None:
        if self._cache is None:
            return None
        try:
            await self._cache.invalidate((), 0)  # waits for the first connection, as no lookup does
        except CacheUnavailable as error:
            return self._judge("cache", error)
        return self._judge("cache", None)

    def _judge(self, name: str, error: ImageHostError | None) -> Dependency:
        known = self._found.get(name)
        is_same = known is not None and known.is_up == (error is None)
        since = known.since if known and is_same else datetime.now(UTC)
        why = reason(error) if error else ""
        if known and is_same and isinstance(error, CacheUnavailable) and not error.__cause__:
            why = known.reason  # it is not asked while there is no connection
        self._found[name] = Dependency(error is None, since, why)
        return self._found[name]

    async def _read_queue(self) -> tuple[QueuedJobs, ...]:
        async with self._database.read() as session:
            counts = await count_jobs(session)
        jobs: defaultdict[str, dict[JobState, int]] = defaultdict(dict)
        oldest = defaultdict[str, float](float)
        for count in counts:
            jobs[count.task][count.state] = count.jobs
            if count.state is JobState.QUEUED:
                oldest[count.task] = count.oldest.total_seconds()
        return tuple(
            QueuedJobs(
                task,
                queued=jobs[task].get(JobState.QUEUED, 0),
                postponed=jobs[task].get(JobState.POSTPONED, 0),
                running=jobs[task].get(JobState.RUNNING, 0),
                failed=jobs[task].get(JobState.FAILED, 0),
                oldest_seconds=oldest[task],
            )
            for task in sorted({*TASKS, *jobs})
        )

    async def _read_stored(self) -> StoredImages:
        async with self._database.read() as session:
            return StoredImages(*await sum_up_images(session))

    async def _read_space(self) -> Space | None:
        return await self._storage.space() if isinstance(self._storage, HasSpace) else None

    async def _read_maintenance(self) -> Maintenance:
        async with self._database.read() as session:
            return await read_maintenance(session)

    async def _read_statements(self) -> tuple[StatementTotals, ...] | None:
        async with self._database.read() as session:
            return tuple(await list_slowest(session, STATEMENTS)) or None
