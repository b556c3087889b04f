"""Jobs as they are inserted, counted, listed, re-queued and discarded."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.database.engine import Database, WriteSession
from app.domain.job import JobState, NewJob, Priority
from app.statements.jobs import (
    age_of_oldest_job,
    count_jobs,
    discard_failed_jobs,
    find_rows_to_invalidate,
    has_workers,
    insert_jobs,
    list_failed_jobs,
    requeue_failed_jobs,
)
from testkit.databases import explain
from testkit.jobs import insert, rows
from testkit.uploads import execute

A, B = NewJob("render", "a"), NewJob("render", "b")


async def fail(database: Database) -> None:
    """Set all jobs aside, as a worker does."""
    await execute(
        database,
        "UPDATE procrastinate_jobs SET status = 'failed', attempts = 5, lost = 1, "
        "reason = 'It is broken.', created_at = now() - interval '1 hour'",
    )


async def test_jobs_are_committed_or_rolled_back_with_the_transaction(database: Database) -> None:
    await insert(database, A, B)
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await insert_jobs(session, [NewJob("render", "c")])
            raise RuntimeError
    assert await rows(database, "task_name, queue_name, args->>'subject', status::text") == [
        ("render", "render", "a", "todo"),
        ("render", "render", "b", "todo"),
    ]


async def test_no_jobs_are_no_statement(database: Database) -> None:
    await insert(database)
    assert await rows(database, "id") == []


async def test_a_job_inserted_twice_is_one_with_the_higher_priority(database: Database) -> None:
    urgent, slow = A._replace(priority=Priority.INTERACTIVE), A._replace(priority=Priority.BACKLOG)
    await insert(database, slow, A, slow)
    assert await rows(database, "priority") == [(Priority.NORMAL,)]
    await insert(database, urgent)
    await insert(database, slow)
    assert await rows(database, "priority") == [(Priority.INTERACTIVE,)]


async def test_the_same_subject_of_another_task_is_another_job(database: Database) -> None:
    await insert(database, A, NewJob("check", "a"))
    assert len(await rows(database, "id")) == 2


async def test_a_job_inserted_while_it_is_executed_is_marked_to_be_executed_again(
    database: Database,
) -> None:
    await insert(database, A)
    await execute(database, "UPDATE procrastinate_jobs SET status = 'doing', attempts = 1")
    await insert(database, A)
    assert await rows(database, "status::text, again, attempts") == [("doing", True, 1)]


async def test_a_job_inserted_after_it_failed_is_queued_again_from_the_first_attempt(
    database: Database,
) -> None:
    await insert(database, A)
    await fail(database)
    await insert(database, A)
    assert await rows(database, "status::text, again, attempts, lost") == [("todo", False, 0, 0)]
    async with database.read() as session:
        age = await age_of_oldest_job(session)
    assert age is not None
    assert age < timedelta(minutes=1)


async def test_transactions_that_insert_the_same_jobs_in_other_orders_do_not_deadlock(
    database: Database,
) -> None:
    jobs = [NewJob("render", str(number)) for number in range(50)]
    for priority in Priority:
        urgent = [job._replace(priority=priority) for job in jobs]
        await asyncio.gather(*(insert(database, *urgent[::step]) for step in (1, -1) * 4))
    assert await rows(database, "priority") == [(Priority.INTERACTIVE,)] * 50


async def test_the_age_of_the_oldest_job_is_of_one_that_could_be_executed(
    database: Database,
) -> None:
    async def age() -> timedelta | None:
        async with database.read() as session:
            return await age_of_oldest_job(session)

    assert await age() is None
    await insert(database, A)
    await execute(database, "UPDATE procrastinate_jobs SET created_at = now() - interval '1 hour'")
    await insert(database, B)
    found = await age()
    assert found is not None
    assert timedelta(hours=1) <= found < timedelta(hours=2)
    await execute(
        database,
        "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour' "
        "WHERE args->>'subject' = 'a'",
    )
    found = await age()
    assert found is not None
    assert found < timedelta(minutes=1)
    await execute(database, "UPDATE procrastinate_jobs SET status = 'doing'")
    assert await age() is None


async def test_jobs_are_counted_by_task_and_state(database: Database) -> None:
    await insert(database, *[NewJob("render", str(number)) for number in range(7)])
    await insert(database, NewJob("cleanup", ""))
    for change in (
        "status = 'doing' WHERE args->>'subject' = '0'",
        "scheduled_at = now() + interval '1 hour' WHERE args->>'subject' IN ('1', '2')",
        "status = 'failed' WHERE args->>'subject' = '3'",
        "created_at = now() - interval '1 day' WHERE args->>'subject' = '4'",
    ):
        await execute(database, f"UPDATE procrastinate_jobs SET {change}")  # noqa: S608
    async with database.read() as session:
        counts = await count_jobs(session)
    assert [(count.task, count.state, count.jobs) for count in counts] == [
        ("cleanup", JobState.QUEUED, 1),
        ("render", JobState.FAILED, 1),
        ("render", JobState.POSTPONED, 2),
        ("render", JobState.QUEUED, 3),
        ("render", JobState.RUNNING, 1),
    ]
    assert [count.oldest.days for count in counts] == [0, 0, 0, 1, 0]


async def test_a_worker_is_there_until_its_heartbeat_is_stale(database: Database) -> None:
    async def found() -> bool:
        async with database.read() as session:
            return await has_workers(session)

    assert not await found()
    await execute(database, "SELECT procrastinate_register_worker_v1()")
    assert await found()
    await execute(
        database,
        "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '21 seconds'",
    )
    assert not await found()


async def test_failed_jobs_are_listed_in_pages_with_their_reasons(database: Database) -> None:
    await insert(database, *[NewJob("render", str(number)) for number in range(5)])
    await fail(database)
    await insert(database, B)
    seen = []
    after = 0
    while True:
        async with database.read() as session:
            page = await list_failed_jobs(session, after, 2)
        seen += page
        if not page:
            break
        after = page[-1].id
    assert [job.subject for job in seen] == ["0", "1", "2", "3", "4"]
    assert {(job.task, job.attempts, job.lost, job.reason) for job in seen} == {
        ("render", 5, 1, "It is broken.")
    }
    assert timedelta(hours=1) <= seen[0].age < timedelta(hours=2)


@pytest.mark.parametrize("change", [requeue_failed_jobs, discard_failed_jobs])
async def test_failed_jobs_are_requeued_or_discarded_by_id_or_all_and_no_others(
    database: Database, change: Callable[[WriteSession, list[int] | None], Awaitable[int]]
) -> None:
    await insert(database, *[NewJob("render", str(number)) for number in range(4)])
    await fail(database)
    await insert(database, A)
    *failed, queued = [row[0] for row in await rows(database, "id")]
    assert isinstance(failed[0], int)
    assert isinstance(queued, int)

    async def changed(ids: list[int] | None) -> int:
        async with database.write() as session:
            return await change(session, ids)

    assert await changed([failed[0], queued, 999_999]) == 1
    assert await changed([]) == 0
    assert await changed(None) == 3
    left = await rows(database, "status::text, attempts, lost")
    assert left == [("todo", 0, 0)] * (5 if change is requeue_failed_jobs else 1)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (age_of_oldest_job, "procrastinate_jobs_pkey"),
        (
            lambda session: find_rows_to_invalidate(session, 1_001),
            "ix_procrastinate_jobs_invalidate",
        ),
        (lambda session: list_failed_jobs(session, 0, 100), "ix_procrastinate_jobs_failed"),
        (lambda session: discard_failed_jobs(session, [1]), "procrastinate_jobs"),
    ],
    ids=["oldest", "to invalidate", "failed", "discard"],
)
async def test_a_backlog_is_not_scanned(
    database: Database, query: Callable[[WriteSession], Awaitable[object]], index: str
) -> None:
    await insert(database, *[NewJob("render", str(uuid4())) for _ in range(20_000)])
    await execute(
        database,
        "UPDATE procrastinate_jobs SET status = 'failed' WHERE id % 100 = 0",
    )
    async with database.write() as session:
        await session.execute(text("ANALYZE procrastinate_jobs"))
    plan = await explain(database, query)
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


async def test_a_worker_fetches_from_a_backlog_without_reading_it(database: Database) -> None:
    await insert(database, *[NewJob("render", str(uuid4())) for _ in range(20_000)])
    async with database.write() as session:
        await session.execute(text("ANALYZE procrastinate_jobs"))
        fetch = "SELECT procrastinate_fetch_job_v2(ARRAY['render']::varchar[], NULL)"
        plans = [
            "\n".join(await session.scalars(text(f"EXPLAIN (ANALYZE, BUFFERS) {fetch}")))
            for _ in range(10)
        ]
    (_, pages), *_ = re.findall(r"Buffers: shared (hit|read)=(\d+)", plans[-1])
    assert int(pages) < 100, plans[-1]


async def test_a_job_that_is_postponed_is_tried_soon_if_somebody_waits_for_it(
    database: Database,
) -> None:
    urgent = A._replace(priority=Priority.INTERACTIVE)
    await insert(database, urgent)
    assert await rows(database, "scheduled_at") == [(None,)]
    for job, minutes, expected in ((A, 60, 3600), (urgent, 60, 10), (urgent, 0, 0)):
        await execute(
            database,
            f"UPDATE procrastinate_jobs SET scheduled_at = now() + interval '{minutes} minutes'",  # noqa: S608
        )
        await insert(database, job)
        ((seconds,),) = await rows(
            database, "extract(epoch FROM scheduled_at - now())::double precision"
        )
        assert isinstance(seconds, float)
        assert expected - 9 < seconds <= expected
