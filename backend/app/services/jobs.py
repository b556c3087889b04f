"""What an operator does with the queue: counts, and jobs that were set aside."""

from collections.abc import AsyncIterator, Collection
from typing import Final

from app.database.engine import Database
from app.domain.job import FailedJob, JobCount
from app.statements.jobs import (
    count_jobs,
    discard_failed_jobs,
    has_workers,
    list_failed_jobs,
    requeue_failed_jobs,
)

PAGE: Final = 500
"""Jobs that are read at once."""


class Jobs:
    """The jobs of the queue.

    Args:
        database: Where the queue is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def counts(self) -> list[JobCount]:
        """Count the jobs by task and state."""
        async with self._database.read() as session:
            return await count_jobs(session)

    async def have_workers(self) -> bool:
        """Return whether there is a worker to execute them."""
        async with self._database.read() as session:
            return await has_workers(session)

    async def failed(self) -> AsyncIterator[FailedJob]:
        """List the jobs that were set aside, by their ids."""
        after = 0
        while True:
            async with self._database.read() as session:
                page = await list_failed_jobs(session, after, PAGE)
            for job in page:
                yield job
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def requeue(self, ids: Collection[int] | None) -> int:
        """Queue jobs again that were set aside, all of them for None; return how many."""
        async with self._database.write() as session:
            return await requeue_failed_jobs(session, ids)

    async def discard(self, ids: Collection[int] | None) -> int:
        """Delete jobs that were set aside, all of them for None; return how many."""
        async with self._database.write() as session:
            return await discard_failed_jobs(session, ids)
