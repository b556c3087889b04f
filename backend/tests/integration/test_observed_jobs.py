"""How attempts of jobs end is counted, as it is settled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest
from prometheus_client import CollectorRegistry

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.job import NewJob
from app.observability.metrics.observer import MetricsObserver
from app.queue.task import Task
from app.queue.worker import QueueWorker
from testkit.jobs import insert, rows
from testkit.live import TIMEOUT
from testkit.uploads import execute

Run = Callable[[str], Awaitable[None]]
JOB: Final = NewJob("render", "a")
DURATION: Final = "image_host_job_duration_seconds"


@asynccontextmanager
async def working(database: Database, run: Run) -> AsyncIterator[CollectorRegistry]:
    """Run a worker until the end of the block; yield what is counted."""
    registry = CollectorRegistry()
    task = Task("render", run, None, TIMEOUT)
    worker = QueueWorker(database, [task], 1, observer=MetricsObserver(registry))
    running = asyncio.create_task(worker.run())
    yield registry
    worker.stop()
    await running


def counted(registry: CollectorRegistry, name: str = f"{DURATION}_count") -> dict[str, float]:
    """Return the values of a sample by outcome, but those of failures that have not happened."""
    samples = [sample for metric in registry.collect() for sample in metric.samples]
    assert {sample.labels["task"] for sample in samples if sample.name == name} <= {"render"}
    found = {sample.labels["outcome"]: sample.value for sample in samples if sample.name == name}
    return {outcome: value for outcome, value in found.items() if value}


async def reach(database: Database, registry: CollectorRegistry, **expected: int) -> None:
    """Wait until so many attempts have ended so, having waiting jobs executed at once."""
    async with asyncio.timeout(TIMEOUT):
        while counted(registry) != expected:
            await execute(database, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
            await asyncio.sleep(0.02)


async def test_a_job_that_fails_is_counted_for_each_attempt_and_for_being_set_aside(
    database: Database,
) -> None:
    async def run(_subject: str) -> None:
        raise ValueError("broken")

    await insert(database, JOB)
    async with working(database, run) as registry:
        await reach(database, registry, failed=5, set_aside=1)


async def test_outages_and_successes_are_counted_apart_from_failures(database: Database) -> None:
    tried: list[str] = []

    async def run(subject: str) -> None:
        tried.append(subject)
        if len(tried) < 3:
            raise StorageUnavailable

    await insert(database, JOB)
    async with working(database, run) as registry:
        await reach(database, registry, hindered=2, succeeded=1)


async def test_a_job_that_was_inserted_again_meanwhile_is_counted_as_repeated(
    database: Database,
) -> None:
    async def run(_subject: str) -> None:
        if not counted(registry):
            await insert(database, JOB)

    await insert(database, JOB)
    async with working(database, run) as registry:
        await reach(database, registry, repeated=1, succeeded=1)


async def test_a_job_that_is_given_back_is_counted_with_the_time_that_it_took(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.worker.GRACE_SECONDS", 0.3)
    begun = asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    await insert(database, JOB)
    async with working(database, run) as registry:
        await begun.wait()
    assert counted(registry) == {"given_back": 1}
    assert counted(registry, f"{DURATION}_sum")["given_back"] >= 0.2


async def test_an_attempt_that_is_no_longer_ours_is_not_counted(database: Database) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()
        await end.wait()

    await insert(database, JOB)
    async with working(database, run) as registry:
        await begun.wait()
        await execute(database, "UPDATE procrastinate_jobs SET attempts = 3, status = 'failed'")
        end.set()
    assert counted(registry) == {}
    assert await rows(database, "status::text") == [("failed",)]
