"""Workers and their database are killed, stopped and restarted: no job is lost."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.domain.job import NewJob
from app.statements.jobs import insert_jobs
from testkit import queue_driver
from testkit.databases import execute, prepare
from testkit.live import TIMEOUT, wait_until
from testkit.pgbouncer import pooled
from testkit.processes import hanging_database, postmaster
from testkit.programs import needs_pgbouncer
from testkit.queue_driver import STALE
from testkit.service import ROOT

WAIT_SECONDS = 4 * TIMEOUT
"""What is lost is taken up again after a while, by processes that take a while to start."""


class Workers:
    """Worker processes over one queue, of which any number may end."""

    def __init__(self, url: URL, folder: Path, through: URL | None = None) -> None:
        self.url = url
        self._address = (through or url).render_as_string(hide_password=False)
        self._log = folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self, count: int) -> None:
        """Start as many as it takes for so many to run."""
        self.processes = [process for process in self.processes if process.poll() is None]
        with self._log.open("ab") as log:
            while len(self.processes) < count:
                command = [sys.executable, "-m", "testkit.queue_driver", self._address]
                process = subprocess.Popen(  # noqa: S603 - our own arguments
                    command, cwd=ROOT / "backend", stdout=log, stderr=log
                )
                self.processes.append(process)

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes:
            process.wait(TIMEOUT)

    def insert(self, *subjects: str) -> None:
        async def insert() -> None:
            database = Database(self.url)
            async with database.write() as session:
                await insert_jobs(session, [NewJob("test", subject) for subject in subjects])
            await database.close()

        asyncio.run(insert())

    def select(self, columns: str, table: str = "procrastinate_jobs") -> list[tuple[object, ...]]:
        return asyncio.run(execute(self.url, f"SELECT {columns} FROM {table}"))  # noqa: S608

    def open_gate(self, process: subprocess.Popen[bytes]) -> None:
        asyncio.run(execute(self.url, f"INSERT INTO gates VALUES ({process.pid})"))  # noqa: S608

    def has_begun_by(self, process: subprocess.Popen[bytes]) -> bool:
        return (process.pid,) in self.select("pid", "begun")

    def wait_for_twenty_more(self) -> None:
        done = len(self.select("pid", "done"))
        wait_until(lambda: len(self.select("pid", "done")) > done + 20)

    def unfinished(self) -> list[tuple[object, ...]]:
        return self.select("id", "procrastinate_jobs WHERE status <> 'failed'")

    def assert_all_are_done(self, subjects: list[str]) -> None:
        """Each was done, or set aside because it was lost too often."""
        done = [row[0] for row in self.select("subject", "done")]
        given_up = {row[0] for row in self.select("subject", "given_up")}
        assert set(done) | given_up == set(subjects)


@contextmanager
def working(url: URL, folder: Path, through: URL | None = None) -> Iterator[Workers]:
    workers = Workers(url, folder, through)
    asyncio.run(execute(url, *queue_driver.TABLES))
    try:
        yield workers
    finally:
        workers.end()
        names = "begun, done, given_up, gates"
        asyncio.run(execute(url, f"DROP TABLE {names}"))


@pytest.fixture
def workers(database_url: URL, tmp_path: Path) -> Iterator[Workers]:
    with working(database_url, tmp_path) as workers:
        yield workers


def notes(count: int) -> list[str]:
    return [f"note:{number}" for number in range(count)]


def kill_again_and_again(workers: Workers, kills: int) -> None:
    for _ in range(kills):
        workers.start(2)
        time.sleep(random.uniform(0.3, 1.2))  # noqa: S311 - at any moment, its start too
        random.choice(workers.processes).kill()  # noqa: S311
    workers.start(2)
    wait_until(lambda: not workers.unfinished(), WAIT_SECONDS)


def test_no_job_is_lost_when_workers_are_killed_at_any_moment(workers: Workers) -> None:
    workers.insert(*notes(200))
    kill_again_and_again(workers, 10)
    workers.assert_all_are_done(notes(200))


@needs_pgbouncer
def test_no_job_is_lost_through_a_pooler_of_transactions(database_url: URL, tmp_path: Path) -> None:
    with pooled(database_url, servers=2) as pool, working(database_url, tmp_path, pool) as workers:
        workers.insert(*notes(100))
        kill_again_and_again(workers, 4)
        workers.assert_all_are_done(notes(100))


def test_a_job_that_ends_its_worker_each_time_is_set_aside_and_hinders_no_other(
    workers: Workers,
) -> None:
    workers.insert("kill:x", *notes(20))

    def is_over() -> bool:
        workers.start(2)
        asyncio.run(execute(workers.url, "UPDATE procrastinate_jobs SET scheduled_at = NULL"))
        return not workers.unfinished()

    wait_until(is_over, WAIT_SECONDS)
    assert ("kill:x", "The worker ended.") in workers.select("subject, reason", "given_up")
    assert len(workers.select("pid", "begun WHERE subject = 'kill:x'")) == 3
    assert ("failed", 3, 3) in workers.select("status::text, attempts, lost")
    workers.assert_all_are_done(["kill:x", *notes(20)])


def test_a_worker_that_was_stopped_does_not_settle_the_job_that_another_has_taken_up(
    workers: Workers,
) -> None:
    workers.insert("gate:x")
    workers.start(1)
    (stopped,) = workers.processes
    wait_until(lambda: workers.has_begun_by(stopped))
    stopped.send_signal(signal.SIGSTOP)
    workers.start(2)
    other = workers.processes[1]
    wait_until(lambda: workers.has_begun_by(other))
    stopped.send_signal(signal.SIGCONT)
    workers.open_gate(stopped)
    wait_until(lambda: "no longer that of this attempt" in workers.log)
    assert workers.select("status::text, lost") == [("doing", 1)]
    workers.open_gate(other)
    wait_until(lambda: not workers.select("id"))
    assert len(workers.select("pid", "done")) == 2


@contextmanager
def own_database(folder: Path) -> Iterator[tuple[URL, ExitStack]]:
    with ExitStack() as opened:
        url = opened.enter_context(embedded_postgres(folder))
        asyncio.run(prepare(url))
        yield url, opened


def test_every_job_is_done_when_the_database_is_killed_and_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with own_database(folder) as (url, running), working(url, tmp_path) as workers:
        workers.insert(*notes(400))
        workers.start(2)
        for _ in range(3):
            workers.wait_for_twenty_more()
            postmaster(folder).kill()
            running.close()
            running.enter_context(embedded_postgres(folder))
        with hanging_database(folder):
            time.sleep(STALE.total_seconds() + 1)
        wait_until(lambda: not workers.unfinished(), WAIT_SECONDS)
        workers.assert_all_are_done(notes(400))
        assert workers.select("subject", "given_up") == []
        assert all(process.poll() is None for process in workers.processes)


def test_a_worker_that_is_told_to_stop_gives_back_what_is_running(workers: Workers) -> None:
    workers.insert("gate:x")
    workers.start(1)
    (process,) = workers.processes
    wait_until(lambda: workers.has_begun_by(process))
    process.terminate()
    assert process.wait(TIMEOUT) == os.EX_OK
    assert workers.select("status::text, attempts, worker_id") == [("todo", 0, None)]
    assert workers.select("id", "procrastinate_workers") == []
