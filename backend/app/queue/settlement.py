"""How attempts of jobs end: what of procrastinate's job manager is replaced."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from time import monotonic
from typing import Final, TypeVar

from procrastinate.connector import BaseConnector
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.domain.job import MAX_REASON, NewJob
from app.observability.observer import Observer
from app.observability.reasons import reason
from app.statements.attempts import Attempt, Outcome, become_due, settle
from app.statements.jobs import insert_jobs

RETRY_SECONDS: Final = 1.0
"""Between attempts to settle while the database is unavailable."""

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Settlement(JobManager):
    """Settles attempts, and inserts periodic jobs, in our way.

    Args:
        connector: For what is left to procrastinate.
        database: Where the queue is.
        observer: Told how attempts end.
    """

    def __init__(self, connector: BaseConnector, database: Database, observer: Observer) -> None:
        super().__init__(connector)
        self._database = database
        self._observer = observer
        self._seconds: dict[int | None, float] = {}
        self._failures: dict[int | None, str] = {}
        self._hindered: set[int | None] = set()
        self._set_aside: set[int | None] = set()
        self.is_stopping = False
        """Whether the worker waits no longer for a database that is unavailable."""
        self.answered_at = float("-inf")
        """When the queue was asked successfully, by the monotonic clock."""

    def took(self, job: Job, seconds: float) -> None:
        """Keep how long the attempt of a job took, until it is settled."""
        self._seconds[job.id] = seconds

    def fail(self, job: Job, why: str) -> None:
        """Keep why the attempt of a job failed, until it is settled."""
        writable = why.encode(errors="replace").decode()  # names of files may be no Unicode
        self._failures[job.id] = writable.replace("\0", "")[:MAX_REASON]

    def hinder(self, job: Job, why: str) -> None:
        """As `fail`, where what the job needs is unavailable."""
        self.fail(job, why)
        self._hindered.add(job.id)

    def set_aside(self, job: Job, why: str) -> None:
        """Let the job be set aside when the attempt is settled as a success."""
        _log.error("job %s is set aside after too many attempts: %s", job.queueing_lock, why)
        self._set_aside.add(job.id)

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """Fetch a job as procrastinate does, and record when the queue has answered."""
        job = await super().fetch_job(queues, worker_id)
        self.answered_at = monotonic()
        return job

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: ARG002, FBT001 - its name and place
        """Settle an attempt by its worker and number, as often as it takes.

        procrastinate's own settles the attempt of another worker, too, and tries once: the job
        would stay that of a worker that lives.
        """
        assert job.id is not None  # noqa: S101 - it was fetched
        assert job.worker_id is not None  # noqa: S101 - the same
        attempt = Attempt(job.id, job.worker_id, job.attempts)
        outcome = self._outcome(job, status)
        failure = self._failures.pop(job.id, "It failed.")
        seconds = self._seconds.pop(job.id, 0.0)
        _log.debug("job %s ends: %s", job.queueing_lock, outcome.name.lower())

        async def act() -> Outcome | None:
            async with self._database.write_alone() as session:
                if await settle(session, attempt, outcome, failure):
                    return outcome
                if outcome is Outcome.SUCCEEDED and await settle(
                    session, attempt, Outcome.REPEATED
                ):
                    return Outcome.REPEATED
                return None

        try:
            settled = await self._persist(act)
        except DatabaseUnavailable as error:
            _log.warning("job %s will be executed again: %s", job.queueing_lock, reason(error))
            return
        if settled:
            self._observer.job(job.task_name, settled.name.lower(), seconds)
        else:
            _log.warning("job %s was no longer that of this attempt", job.queueing_lock)

    async def defer_periodic_job(self, job: Job, periodic_id: str, defer_timestamp: int) -> None:  # noqa: ARG002 - its name
        """Insert the job of a periodic task, unless another worker has done so for this time.

        procrastinate's own needs a trigger on every job that is deleted, and tries once.
        """
        due = datetime.fromtimestamp(defer_timestamp, UTC)

        async def act() -> None:
            async with self._database.write() as session:
                if await become_due(session, job.task_name, due):
                    await insert_jobs(session, [NewJob(job.task_name, "")])

        await self._persist(act)

    def _outcome(self, job: Job, status: Status) -> Outcome:
        if job.id in self._set_aside:
            self._set_aside.discard(job.id)
            return Outcome.SET_ASIDE
        if job.id in self._hindered:
            self._hindered.discard(job.id)
            return Outcome.HINDERED
        if job.id in self._failures:
            return Outcome.FAILED
        ends = {Status.SUCCEEDED: Outcome.SUCCEEDED, Status.ABORTED: Outcome.GIVEN_BACK}
        return ends.get(status, Outcome.FAILED)

    async def _persist(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        """Repeat something until the database is available.

        Raises:
            DatabaseUnavailable: If the worker is stopping.
        """
        while True:
            try:
                return await act()
            except DatabaseUnavailable:
                if self.is_stopping:
                    raise
            await asyncio.sleep(RETRY_SECONDS)
