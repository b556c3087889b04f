"""Statements on jobs: insert, count, list, re-queue and discard.

The trace of a job is in `lock`, a column of procrastinate's that its workers are handed with each
job, and that we do not use otherwise (ADR 74).
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import (
    CTE,
    Select,
    Text,
    TextClause,
    bindparam,
    cast,
    column,
    func,
    literal,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.database.engine import ReadSession, WriteSession
from app.domain.job import INVALIDATE, STALE, FailedJob, JobCount, JobState, NewJob, Priority
from app.observability.logs import trace_id

_IS_TOO_LATE: Final = "excluded.priority > 0 AND job.scheduled_at > now() + interval '10 seconds'"
"""Of a job that failed before, and that somebody waits for now."""
# It waits for a worker that is taking the job: one that is inserted while it is executed, is
# executed once more after that.
_INSERT: Final = text(f"""
    INSERT INTO procrastinate_jobs AS job
        (queue_name, task_name, queueing_lock, args, priority, lock)
    SELECT task, task, task || ':' || subject, jsonb_build_object('subject', subject), priority,
           nullif(trace, '')
    FROM unnest(CAST(:tasks AS text[]), CAST(:subjects AS text[]), CAST(:priorities AS integer[]),
                CAST(:traces AS text[]))
         AS new(task, subject, priority, trace)
    ORDER BY task, subject
    ON CONFLICT (queueing_lock) DO UPDATE SET
        lock = coalesce(excluded.lock, job.lock),
        priority = greatest(job.priority, excluded.priority),
        again = job.status = 'doing',
        status = CASE job.status WHEN 'failed' THEN 'todo' ELSE job.status END,
        attempts = CASE job.status WHEN 'failed' THEN 0 ELSE job.attempts END,
        lost = CASE job.status WHEN 'failed' THEN 0 ELSE job.lost END,
        created_at = CASE job.status WHEN 'failed' THEN now() ELSE job.created_at END,
        scheduled_at = CASE WHEN {_IS_TOO_LATE} THEN now() + interval '10 seconds'
            ELSE job.scheduled_at END
    WHERE job.status <> 'todo' OR job.priority < excluded.priority OR {_IS_TOO_LATE}
""")  # noqa: S608 - our own
_DUE: Final = "status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())"
_OLDEST: Final = text(f"""
    SELECT now() - created_at FROM procrastinate_jobs WHERE {_DUE} ORDER BY id LIMIT 1
""")  # noqa: S608 - our own
ALIVE: Final = """
    last_heartbeat BETWEEN now() - CAST(:stale AS interval) AND now() + CAST(:stale AS interval)
"""
"""Of a worker. A heartbeat in the future is of one that has ended since the clock was set back."""
_WORKERS: Final = text(f"SELECT EXISTS (SELECT FROM procrastinate_workers WHERE {ALIVE})")  # noqa: S608 - our own
_UNFINISHED: Final = text("""
    SELECT args->>'subject' FROM procrastinate_jobs
    WHERE queueing_lock = ANY(:names) AND status <> 'failed'
""")
# A literal, for of a parameter the planner does not know that its index has them all.
_TO_INVALIDATE: Final = text(f"""
    SELECT args->>'subject' FROM procrastinate_jobs
    WHERE task_name = '{INVALIDATE}' ORDER BY id LIMIT :limit
""")  # noqa: S608 - our own
_TAKE_INVALIDATIONS: Final = text(f"""
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs WHERE task_name = '{INVALIDATE}' AND status <> 'doing'
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING args->>'subject'
""")  # noqa: S608 - our own
_COUNTS: Final = text(f"""
    SELECT task_name,
           CASE WHEN {_DUE} THEN 'queued' WHEN status = 'todo' THEN 'postponed'
                WHEN status = 'doing' THEN 'running' ELSE 'failed' END AS state,
           count(*), now() - min(created_at)
    FROM procrastinate_jobs GROUP BY task_name, state ORDER BY task_name, state
""")  # noqa: S608 - our own
_FAILED: Final = text("""
    SELECT id, task_name, args->>'subject', attempts, lost, coalesce(reason, ''), now() - created_at
    FROM procrastinate_jobs WHERE status = 'failed' AND id > :after ORDER BY id LIMIT :limit
""")
_CHOSEN: Final = "status = 'failed' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids))"
_REQUEUE: Final = text(f"""
    UPDATE procrastinate_jobs SET status = 'todo', attempts = 0, lost = 0, created_at = now()
    WHERE {_CHOSEN} RETURNING id
""")  # noqa: S608 - our own
_DISCARD: Final = text(f"DELETE FROM procrastinate_jobs WHERE {_CHOSEN} RETURNING id")  # noqa: S608 - our own


_JOBS: Final = table(
    "procrastinate_jobs",
    *map(column, ("queue_name", "task_name", "queueing_lock", "args", "priority", "lock")),
)
TRACES: Final = "traces"
"""Parameter of `job_for_each`: the traces of jobs, by the ids that these are for."""


def job_for_each(
    task: str, new_ids: Select[tuple[UUID]], priority: Priority = Priority.NORMAL
) -> CTE:
    """Return the part of a statement that inserts a job for each id, none of which has one."""
    (new_id,) = new_ids.selected_columns
    name, subject = literal(task), cast(new_id, Text)
    arguments = func.jsonb_build_object("subject", subject)
    trace = bindparam(TRACES, type_=JSONB).op("->>")(subject)
    values = name, name, name + ":" + subject, arguments, literal(priority.value), trace
    jobs = new_ids.with_only_columns(*values)
    return _JOBS.insert().from_select(_JOBS.c.keys(), jobs).cte(f"{task}_jobs")


async def insert_jobs(session: WriteSession, jobs: Sequence[NewJob]) -> None:
    """Insert jobs, to be executed after the commit.

    Of those with the same task and subject there is one. Inserted again, it gets the higher
    priority; postponed, it is due within 10 s if somebody waits for it; it is queued again where it
    had been set aside; and where it is being executed, it is executed once more after that.
    """
    highest: dict[tuple[str, str], NewJob] = {}
    for job in jobs:
        known = highest.setdefault((job.task, job.subject), job)
        if job.priority > known.priority:
            highest[job.task, job.subject] = job
    if highest:
        parameters: dict[str, list[str] | list[int]] = {
            "tasks": [job.task for job in highest.values()],
            "subjects": [job.subject for job in highest.values()],
            "priorities": [int(job.priority) for job in highest.values()],
            TRACES: [job.trace_id or trace_id.get() for job in highest.values()],
        }
        await session.execute(_INSERT, parameters)


async def age_of_oldest_job(session: ReadSession) -> timedelta | None:
    """Return for how long the oldest job that could be executed has been queued, if there is one.

    A postponed one does not count.
    """
    age: timedelta | None = await session.scalar(_OLDEST)
    return age


async def has_workers(session: ReadSession) -> bool:
    """Return whether any worker has had a heartbeat within `STALE`."""
    found: bool = (await session.execute(_WORKERS, {"stale": STALE})).scalar_one()
    return found


async def find_unfinished(session: ReadSession, task: str, subjects: Iterable[str]) -> set[str]:
    """Return those of the subjects whose jobs are queued or being executed."""
    names = [f"{task}:{subject}" for subject in subjects]
    return {*await session.scalars(_UNFINISHED, {"names": names})}


async def find_rows_to_invalidate(session: ReadSession | WriteSession, limit: int) -> list[UUID]:
    """Read the ids of up to `limit` rows that the cache may still have as they were.

    Whatever becomes of its job, also if that was set aside: each is there until it has succeeded.
    """
    subjects = await session.scalars(_TO_INVALIDATE, {"limit": limit})
    return [UUID(subject) for subject in subjects]


async def take_invalidations(session: WriteSession, limit: int) -> list[UUID]:
    """Delete up to `limit` jobs that invalidate rows and are not being executed; return the ids.

    A change that inserts one of them again waits for the end of the transaction, and then does.
    """
    subjects = await session.scalars(_TAKE_INVALIDATIONS, {"limit": limit})
    return [UUID(subject) for subject in subjects]


async def count_jobs(session: ReadSession) -> list[JobCount]:
    """Count the jobs by task and state, by a scan of the table."""
    rows = await session.execute(_COUNTS)
    return [JobCount(task, JobState(state), *rest) for task, state, *rest in rows]


async def list_failed_jobs(session: ReadSession, after: int, limit: int) -> list[FailedJob]:
    """Read up to `limit` jobs that were set aside, those after an id (0 = the first)."""
    rows = await session.execute(_FAILED, {"after": after, "limit": limit})
    return [FailedJob(*row) for row in rows]


async def requeue_failed_jobs(session: WriteSession, ids: Collection[int] | None) -> int:
    """Queue jobs again that were set aside, all of them for None; return how many there were."""
    return await _change(session, _REQUEUE, ids)


async def discard_failed_jobs(session: WriteSession, ids: Collection[int] | None) -> int:
    """Delete jobs that were set aside, all of them for None; return how many there were."""
    return await _change(session, _DISCARD, ids)


async def _change(session: WriteSession, statement: TextClause, ids: Collection[int] | None) -> int:
    changed = await session.scalars(statement, {"ids": None if ids is None else list(ids)})
    return len(changed.all())
