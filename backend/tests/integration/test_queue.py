"""Workers: what they execute in which order, and what becomes of attempts that fail."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.database.engine import Database
from app.domain.errors import CacheUnavailable, ImageDamaged, StorageUnavailable
from app.domain.job import INVALIDATE, MAX_REASON, STALE, NewJob, Priority
from app.queue.task import Task
from app.queue.worker import QueueWorker
from app.statements.attempts import Outcome, become_due
from testkit.database_proxy import Cut, DatabaseProxy
from testkit.jobs import insert, rows
from testkit.live import TIMEOUT, until
from testkit.logs import logging_to
from testkit.uploads import execute

Run = Callable[[str], Awaitable[None]]
A = NewJob("render", "a")
FIRST_PAUSE = timedelta(seconds=10)


def render(run: Run, seconds: float = TIMEOUT) -> Task:
    return Task("render", run, None, seconds)


@asynccontextmanager
async def working(
    database: Database, *tasks: Task, concurrency: int = 1
) -> AsyncIterator[QueueWorker]:
    """Run a worker until the end of the block."""
    worker = QueueWorker(database, tasks, concurrency)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running


async def reach(database: Database, columns: str, expected: list[tuple[object, ...]]) -> None:
    """Wait until the jobs are as expected, having waiting ones executed at once."""
    found = None
    try:
        async with asyncio.timeout(TIMEOUT):
            while (found := await rows(database, columns)) != expected:
                await execute(database, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(found) from None


class Recorder:
    """Remembers the subjects of the jobs that were executed, and those that were set aside."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.subjects: list[str] = []
        self.set_aside: list[tuple[str, str]] = []
        self.error = error

    async def run(self, subject: str) -> None:
        self.subjects.append(subject)
        if self.error:
            raise self.error

    async def give_up(self, subject: str, reason: str) -> None:
        self.set_aside.append((subject, reason))


async def test_lines_about_a_job_have_the_trace_that_it_was_inserted_with(
    database: Database,
) -> None:
    trace, other = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
    log_of_the_job = logging.getLogger("app.x")

    async def run(subject: str) -> None:
        log_of_the_job.info("within %s", subject)
        if subject == "fails":
            raise ZeroDivisionError

    jobs = [
        NewJob("render", "a", trace_id=trace),
        NewJob("render", "b"),
        NewJob("render", "fails", trace_id=other),
    ]
    await insert(database, *jobs)
    with logging_to(level="debug") as log, logging_to("procrastinate", "warning") as library:
        async with working(database, render(run)):
            await until(lambda: log.about("job render:fails ends: failed"))
    named = {
        subject: [(line["message"], line.get("trace_id")) for line in log.about(subject)]
        for subject in ("render:a", "render:b", "render:fails", "within")
    }
    begins = "begins, after 0 attempts"
    assert named == {
        "render:a": [
            (f"job render:a {begins}", trace),
            ("job render:a ends: succeeded", trace),
        ],
        "render:b": [
            (f"job render:b {begins}", None),
            ("job render:b ends: succeeded", None),
        ],
        "render:fails": [
            (f"job render:fails {begins}", other),
            ("job render:fails fails: ZeroDivisionError", other),
            ("job render:fails ends: failed", other),
        ],
        "within": [("within a", trace), ("within b", None), ("within fails", other)],
    }
    assert not library.about("render")  # it would say again what is said above


async def test_a_job_that_is_inserted_again_has_the_later_trace_if_there_is_one(
    database: Database,
) -> None:
    urgent = NewJob("render", "a", Priority.INTERACTIVE)
    for job, expected in (
        (NewJob("render", "a", Priority.BACKLOG, "1" * 32), "1" * 32),
        (A, "1" * 32),
        (urgent._replace(trace_id="2" * 32), "2" * 32),
    ):
        await insert(database, job)
        assert await rows(database, "lock") == [(expected,)]


async def test_jobs_are_executed_once_and_deleted(database: Database) -> None:
    done = Recorder()
    await insert(database, *[NewJob("render", str(number)) for number in range(20)])
    async with working(database, render(done.run), concurrency=3):
        await reach(database, "id", [])
    assert sorted(done.subjects, key=int) == [str(number) for number in range(20)]


async def test_jobs_go_by_priority_and_then_by_age(database: Database) -> None:
    done = Recorder()
    await insert(
        database,
        NewJob("render", "backlog", Priority.BACKLOG),
        NewJob("render", "first"),
        NewJob("render", "second"),
        NewJob("render", "urgent", Priority.INTERACTIVE),
    )
    async with working(database, render(done.run)):
        await reach(database, "id", [])
    assert done.subjects == ["urgent", "first", "second", "backlog"]


async def test_jobs_of_tasks_that_a_worker_does_not_know_are_left_to_others(
    database: Database,
) -> None:
    done = Recorder()
    await insert(database, NewJob("later", "x"), A)
    async with working(database, render(done.run)):
        await reach(database, "task_name, attempts", [("later", 0)])
    assert done.subjects == ["a"]


async def test_a_job_inserted_while_it_is_executed_is_executed_again(database: Database) -> None:
    done, begun = Recorder(), asyncio.Event()
    inserted = asyncio.Event()

    async def run(subject: str) -> None:
        begun.set()
        await inserted.wait()
        await done.run(subject)

    await insert(database, A)
    async with working(database, render(run), concurrency=2):
        await begun.wait()
        await insert(database, A)
        inserted.set()
        await reach(database, "id", [])
    assert done.subjects == ["a", "a"]


async def test_an_attempt_that_fails_is_repeated_later_with_its_reason_in_the_row(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Recorder(ValueError("of two\nlines\0 " + "x" * 600))
    await insert(database, A)
    began = datetime.now(UTC)
    async with working(database, render(failing.run)), asyncio.timeout(TIMEOUT):
        while not (await rows(database, "reason"))[0][0]:  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.02)
    ((reason, attempts, due),) = await rows(database, "reason, attempts, scheduled_at")
    assert isinstance(reason, str)
    assert isinstance(due, datetime)
    assert reason.startswith("ValueError: of two lines xxx")
    assert len(reason) == MAX_REASON
    assert attempts == 1
    assert began + FIRST_PAUSE <= due <= datetime.now(UTC) + FIRST_PAUSE
    assert failing.subjects == ["a"]
    assert caplog.text.count("job render:a fails: ValueError: of two") == 1
    assert caplog.text.count("Traceback") == 1


async def test_a_reason_with_a_name_that_is_no_unicode_is_recorded(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # pytest cannot send such a log to its main process
    await insert(database, A)
    failing = Recorder(OSError(28, "Full", b"/data/\xff"))
    async with working(database, render(failing.run)):
        await reach(database, "reason", [("Full (ENOSPC): /data/?",)])


@pytest.mark.parametrize(
    ("error", "name", "minutes"),
    [(StorageUnavailable(), "render", 60), (CacheUnavailable(), INVALIDATE, 5)],
    ids=["storage", "cache"],
)
async def test_a_job_is_not_set_aside_for_an_outage_however_long(
    database: Database, error: Exception, name: str, minutes: int
) -> None:
    failing = Recorder(error)
    await insert(database, NewJob(name, "a"))
    async with working(database, Task(name, failing.run, failing.give_up, TIMEOUT)):
        async with asyncio.timeout(TIMEOUT):
            while len(failing.subjects) < 8:
                await execute(database, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
                await asyncio.sleep(0.02)
            wait = "round(extract(epoch FROM scheduled_at - now()) / 60)::integer"
            while await rows(database, wait) != [(minutes,)]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        failing.error = None
        await reach(database, "id", [])
    assert failing.set_aside == []


async def test_an_attempt_that_an_outage_hinders_is_one_line_in_the_log(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Recorder(OSError(28, "Full", "/data/images"))
    await insert(database, A)
    async with working(database, render(failing.run)), asyncio.timeout(TIMEOUT):
        while await rows(database, "status::text, attempts") != [("todo", 1)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage() == "job render:a has to wait: Full (ENOSPC): /data/images"
    assert not line.exc_info


async def test_a_job_that_waits_for_the_cache_logs_nothing_for_the_cache_does(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Recorder(CacheUnavailable())
    await insert(database, NewJob(INVALIDATE, "a"))
    async with (
        working(database, Task(INVALIDATE, failing.run, failing.give_up, TIMEOUT)),
        asyncio.timeout(TIMEOUT),
    ):
        while await rows(database, "status::text, attempts") != [("todo", 1)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert failing.subjects == ["a"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_the_log_of_a_failed_attempt_has_what_was_found(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await insert(database, A)
    failing = Recorder(ImageDamaged(UUID(int=1), "its file ab.jpg is missing"))
    async with working(database, render(failing.run)), asyncio.timeout(TIMEOUT):
        while "job render" not in caplog.text:  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.02)
    assert "its file ab.jpg is missing" in caplog.text


async def test_each_attempt_waits_longer_until_the_job_is_set_aside_with_its_reason(
    database: Database,
) -> None:
    failing = Recorder(ValueError("broken"))
    task = Task("render", failing.run, failing.give_up, TIMEOUT)
    await insert(database, A)
    began = datetime.now(UTC)
    async with working(database, task):
        for number, times in enumerate((1, 6, 36, 216), start=1):
            async with asyncio.timeout(TIMEOUT):
                while (found := await rows(database, "scheduled_at, attempts"))[0][1] != number:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            due, pause = found[0][0], times * FIRST_PAUSE
            assert isinstance(due, datetime)
            assert began + pause <= due <= datetime.now(UTC) + pause
            began = datetime.now(UTC)
            await execute(database, "UPDATE procrastinate_jobs SET scheduled_at = NULL")
        await reach(
            database, "status::text, attempts, reason", [("failed", 5, "ValueError: broken")]
        )
    assert failing.subjects == ["a"] * 5
    assert failing.set_aside == [("a", "ValueError: broken")]


async def test_setting_aside_is_repeated_until_it_succeeds(database: Database) -> None:
    failing = Recorder(ValueError("broken"))
    told: list[str] = []

    async def give_up(_subject: str, reason: str) -> None:
        told.append(reason)
        if len(told) < 3:
            raise RuntimeError("not yet")

    await insert(database, A)
    async with working(database, Task("render", failing.run, give_up, TIMEOUT)):
        await reach(database, "status::text", [("failed",)])
    assert len(failing.subjects) == 5
    assert len(told) == 3


async def test_an_attempt_ends_at_its_deadline(database: Database) -> None:
    async def hang(_subject: str) -> None:
        await asyncio.Event().wait()

    await insert(database, A)
    # The last one that may fail. Then the job is set aside, which has the same deadline.
    await execute(database, "UPDATE procrastinate_jobs SET attempts = 4")
    async with working(database, render(hang, 1)):
        await reach(
            database,
            "status::text, attempts, reason",
            [("failed", 5, "It took longer than 1 seconds.")],
        )


async def test_an_attempt_that_is_cancelled_by_something_else_has_failed(
    database: Database,
) -> None:
    cancelled = Recorder(asyncio.CancelledError())
    await insert(database, A)
    async with working(database, render(cancelled.run)):
        await reach(database, "status::text, reason", [("failed", "It was cancelled.")])


async def test_a_job_that_outlives_the_end_of_its_worker_is_given_back_uncounted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.worker.GRACE_SECONDS", 0.1)
    begun = asyncio.Event()

    async def hang(_subject: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    await insert(database, A)
    async with working(database, render(hang)):
        await begun.wait()
    assert await rows(database, "status::text, attempts, lost, worker_id") == [("todo", 0, 0, None)]


async def test_a_job_that_ends_soon_after_the_end_of_its_worker_is_done(
    database: Database,
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()
        await stopped.wait()

    await insert(database, A)
    async with working(database, render(run)) as worker:
        await begun.wait()
        worker.stop()
        stopped.set()
    assert await rows(database, "id") == []


@pytest.mark.parametrize("error", [None, ValueError("broken")], ids=["done", "failed"])
async def test_a_worker_does_not_settle_a_job_that_another_one_has_taken_up(
    database: Database, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    begun, taken = asyncio.Event(), asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()
        await taken.wait()
        if error:
            raise error

    await insert(database, A)
    async with working(database, render(run)):
        await begun.wait()
        await execute(
            database,
            "UPDATE procrastinate_jobs SET attempts = 1, lost = 1, worker_id = "
            "(SELECT worker_id FROM procrastinate_register_worker_v1())",
        )
        taken.set()
    assert await rows(database, "status::text, attempts, lost") == [("doing", 1, 1)]
    assert "no longer that of this attempt" in caplog.text


async def test_a_periodic_task_is_executed_when_it_is_due(database: Database) -> None:
    done = Recorder()
    every_second = Task("cleanup", done.run, None, TIMEOUT, cron="* * * * * *")
    async with working(database, every_second), asyncio.timeout(TIMEOUT):
        while len(done.subjects) < 2:  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.02)
    assert set(done.subjects) == {""}


async def test_of_several_workers_one_finds_that_a_periodic_task_is_due(
    database: Database,
) -> None:
    async def find(second: int) -> bool:
        async with database.write() as session:
            return await become_due(session, "cleanup", datetime(2026, 1, 1, 0, 0, second, 0, UTC))

    for second in (1, 2):
        assert sorted(await asyncio.gather(*(find(second) for _ in range(5)))) == [False] * 4 + [
            True
        ]
    assert not await find(1)
    await execute(database, "UPDATE periodic_tasks SET last_due = '2099-01-01'")
    assert await find(3), "a clock was wrong"
    assert not await find(3)


async def test_the_job_of_a_worker_without_heartbeat_is_taken_up_and_that_of_another_is_not(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.upkeep.STALE", timedelta())
    monkeypatch.setattr("app.queue.upkeep.BEAT_SECONDS", 0.1)
    done = Recorder()
    await insert(database, A, NewJob("render", "b"), NewJob("render", "c"))
    for subject, age in (("a", STALE * 1.5), ("b", timedelta()), ("c", timedelta(days=-1))):
        await execute(
            database,
            "WITH other AS (INSERT INTO procrastinate_workers (last_heartbeat) "  # noqa: S608
            f"VALUES (now() - interval '{age.total_seconds()} seconds') RETURNING id) "
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = other.id FROM other "
            f"WHERE args->>'subject' = '{subject}'",
        )
    async with working(database, render(done.run)):
        await reach(database, "args->>'subject', status::text", [("b", "doing")])
    assert sorted(done.subjects) == ["a", "c"], "c has one after the clock was set back"


async def test_jobs_that_were_set_aside_long_ago_are_deleted(database: Database) -> None:
    await insert(database, A, NewJob("render", "b"))
    for subject, days in (("a", 31), ("b", 29)):
        await execute(
            database,
            "UPDATE procrastinate_jobs SET status = 'failed', "  # noqa: S608
            f"created_at = now() - interval '{days} days' "
            f"WHERE args->>'subject' = '{subject}'",
        )
    async with working(database, render(Recorder().run)):
        await reach(database, "args->>'subject'", [("b",)])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("statement", ["SELECT id, status", "DELETE FROM procrastinate_jobs"])
async def test_a_job_whose_taking_or_settling_is_cut_off_is_done_in_the_end(
    database: Database,
    proxy: DatabaseProxy,
    statement: str,
    when: Cut,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {"STALE": timedelta(), "BEAT_SECONDS": 0.1}.items():
        monkeypatch.setattr(f"app.queue.upkeep.{name}", value)
    monkeypatch.setattr("app.queue.worker.PAUSE_SECONDS", 0.1)
    done = Recorder()
    await insert(database, A)
    proxy.cut(statement, when)
    through = Database(proxy.url)
    async with working(through, render(done.run)):
        await reach(database, "id", [])
    assert proxy.cuts == 1
    assert done.subjects == ["a"]
    await through.close()


async def test_a_worker_consumes_until_the_database_hangs_and_again_after_that(
    proxy: DatabaseProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.worker.SILENCE_SECONDS", 1.0)
    monkeypatch.setattr("app.queue.worker.PAUSE_SECONDS", 0.1)
    for name in ("POOL_TIMEOUT", "CONNECT_TIMEOUT", "COMMAND_TIMEOUT"):
        monkeypatch.setattr(f"app.database.engine.{name}", 0.5)
    database = Database(proxy.url)

    async def become(*, consuming: bool) -> None:
        async with asyncio.timeout(TIMEOUT):
            while worker.is_consuming is not consuming:  # noqa: ASYNC110 - nothing sets an event
                await asyncio.sleep(0.02)

    async with working(database, render(Recorder().run)) as worker:
        assert not worker.is_consuming
        await become(consuming=True)
        proxy.hold()
        await become(consuming=False)
        proxy.release()
        await become(consuming=True)
    await database.close()


async def test_a_worker_all_of_whose_places_are_taken_is_consuming(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.worker.SILENCE_SECONDS", 0.5)
    monkeypatch.setattr("app.queue.upkeep.BEAT_SECONDS", 0.1)
    begun, end = asyncio.Event(), asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()
        await end.wait()

    await insert(database, A)
    async with working(database, render(run, 3 * TIMEOUT)) as worker:
        await begun.wait()
        await asyncio.sleep(1)  # twice the silence
        await until(lambda: worker.is_consuming)
        end.set()


async def test_a_worker_stops_soon_while_the_database_hangs(
    proxy: DatabaseProxy, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.queue.worker.STOP_SECONDS", 0.5)
    monkeypatch.setattr("app.database.engine.COMMAND_TIMEOUT", 2 * TIMEOUT)
    begun = asyncio.Event()

    async def run(_subject: str) -> None:
        begun.set()

    await insert(database, A)
    proxy.hold_at(Outcome.SUCCEEDED.value.partition("{")[0])
    through = Database(proxy.url)
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(working(through, render(run)))
        await asyncio.wait_for(begun.wait(), TIMEOUT)
        async with asyncio.timeout(TIMEOUT):
            await opened.aclose()
    proxy.release()
    await until(lambda: through._engine.pool.checkedout() == 0)  # type: ignore[attr-defined]
    await through.close()
