"""Statements of workers: how an attempt of a job ended, and which workers have ended.

An attempt is settled only by who made it: worker and number must still be those of the job. A
worker that was stopped for a while may go on after another one has taken up its job.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

from sqlalchemy import text

from app.database.engine import ReadSession, WriteSession
from app.domain.job import INVALIDATE, STALE
from app.statements.jobs import ALIVE

MAX_FAILED: Final = 5
"""Attempts that fail before a job is set aside."""
MAX_LOST: Final = 3
"""Attempts that end their worker before a job is set aside."""
FAILED_JOBS_KEPT: Final = timedelta(days=30)


class Outcome(Enum):
    """How an attempt ended."""

    SUCCEEDED = "DELETE FROM procrastinate_jobs WHERE {attempt} AND NOT again"
    REPEATED = """
        UPDATE procrastinate_jobs SET {free}, status = 'todo', attempts = 0, lost = 0,
            reason = NULL, scheduled_at = NULL, created_at = now()
        WHERE {attempt}
    """
    """It succeeded, and the job had been inserted again during it."""
    GIVEN_BACK = "UPDATE procrastinate_jobs SET {free}, status = 'todo' WHERE {attempt}"
    """Its worker was stopped: it does not count."""
    FAILED = """
        UPDATE procrastinate_jobs SET {free}, status = 'todo', attempts = attempts + 1,
            reason = :reason, scheduled_at = CASE attempts - lost + 1 WHEN {max_failed} THEN now()
                ELSE now() + least(10 * 6.0 ^ (attempts - lost), 3600) * interval '1 second' END
        WHERE {attempt}
    """
    """The next is due after 10 s, 1 min, 6 min, 36 min. Then the job is to be set aside, at once;
    should that fail, after an hour each time."""
    HINDERED = """
        UPDATE procrastinate_jobs SET {free}, status = 'todo', reason = :reason,
            attempts = least(attempts + 1, lost + {max_failed} - 1),
            scheduled_at = now() + least(10 * 6.0 ^ (attempts - lost),
                CASE task_name WHEN '{invalidate}' THEN 300 ELSE 3600 END) * interval '1 second'
        WHERE {attempt}
    """
    """It failed by no fault of the job, which is never set aside for that.

    Until a row is invalidated in the cache, each of its readers asks the database.
    """
    SET_ASIDE = """
        UPDATE procrastinate_jobs SET {free}, status = 'failed', scheduled_at = NULL
        WHERE {attempt}
    """


_SETTLE: Final = {
    outcome: text(
        outcome.value.format(
            attempt="id = :id AND worker_id = :worker AND attempts = :number AND status = 'doing'",
            free="worker_id = NULL, again = false",
            max_failed=MAX_FAILED,
            invalidate=INVALIDATE,
        )
        + " RETURNING id"
    )
    for outcome in Outcome
}
_EARLIER: Final = text("SELECT attempts, lost, reason FROM procrastinate_jobs WHERE id = :id")
_HEARTBEAT: Final = text(
    "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = :worker RETURNING id"
)
_TAKE_UP: Final = text(f"""
    UPDATE procrastinate_jobs SET worker_id = NULL, again = false, status = 'todo',
        attempts = attempts + 1, lost = lost + 1, reason = 'The worker ended.',
        scheduled_at = now() + lost * interval '10 seconds'
    WHERE id IN (
        SELECT id FROM procrastinate_jobs AS job
        WHERE status = 'doing' AND NOT EXISTS (
            SELECT FROM procrastinate_workers
            WHERE id = job.worker_id AND {ALIVE})
        FOR UPDATE SKIP LOCKED)
    RETURNING queueing_lock, coalesce(lock, '')
""")  # noqa: S608 - our own
_PRUNE: Final = text("""
    DELETE FROM procrastinate_jobs
    WHERE status = 'failed' AND created_at < now() - CAST(:kept AS interval)
""")
_BECOME_DUE: Final = text("""
    INSERT INTO periodic_tasks AS known VALUES (:task, :due)
    ON CONFLICT (task_name) DO UPDATE SET last_due = excluded.last_due
        WHERE known.last_due < excluded.last_due OR known.last_due > now() + interval '1 day'
    RETURNING task_name
""")


class Attempt(NamedTuple):
    """One execution of a job."""

    id: int
    """Of the job."""
    worker: int
    number: int
    """How many attempts were made before it."""


class LostJob(NamedTuple):
    """A job whose worker has ended."""

    name: str
    """Task and subject."""
    trace_id: str


class EarlierAttempts(NamedTuple):
    """How the attempts of a job have ended so far."""

    attempts: int
    lost: int
    reason: str

    @property
    def are_too_many(self) -> bool:
        """Whether the job is to be set aside instead of being executed again."""
        return self.attempts - self.lost >= MAX_FAILED or self.lost >= MAX_LOST


async def find_earlier_attempts(session: ReadSession, job_id: int) -> EarlierAttempts:
    """Return how the attempts of a job that is being executed have ended."""
    return EarlierAttempts(*(await session.execute(_EARLIER, {"id": job_id})).one())


async def settle(
    session: WriteSession, attempt: Attempt, outcome: Outcome, reason: str = ""
) -> bool:
    """Record how an attempt ended; return False if the job is no longer that of this attempt."""
    parameters = attempt._asdict()
    if outcome in {Outcome.FAILED, Outcome.HINDERED}:
        parameters["reason"] = reason
    return (await session.execute(_SETTLE[outcome], parameters)).first() is not None


async def beat(session: WriteSession, worker: int) -> bool:
    """Record that a worker is there; return False if the database does not know it."""
    return (await session.execute(_HEARTBEAT, {"worker": worker})).first() is not None


async def take_up_lost_jobs(session: WriteSession) -> Sequence[LostJob]:
    """Queue the jobs again whose workers have no heartbeat within `STALE`; return them."""
    return [LostJob(*row) for row in await session.execute(_TAKE_UP, {"stale": STALE})]


async def prune_failed_jobs(session: WriteSession) -> None:
    """Delete the jobs that were set aside, and are older than `FAILED_JOBS_KEPT`."""
    await session.execute(_PRUNE, {"kept": FAILED_JOBS_KEPT})


async def become_due(session: WriteSession, task: str, due: datetime) -> bool:
    """Record that a periodic task is due; return False if another worker has done so.

    What a wrong clock has recorded for the future keeps no task waiting for it.
    """
    return (await session.execute(_BECOME_DUE, {"task": task, "due": due})).first() is not None
