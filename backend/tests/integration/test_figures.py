"""What is read of a service when somebody asks how it is."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.job import RENDER, TASKS, NewJob
from app.observability.figures import Figures, Maintenance, QueuedJobs, StoredImages
from app.services import figures, readiness, reading
from app.services.maintenance import record_backup, record_fsck
from app.statements.jobs import insert_jobs
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from testkit.database_proxy import DatabaseProxy
from testkit.figures import open_reader
from testkit.live import TIMEOUT
from testkit.uploads import add, execute, row


async def read(database: Database, storage: StorageBackend) -> Figures:
    async with open_reader(database, storage) as reader:
        return await reader.read()


@pytest.fixture(autouse=True)
def _ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than a scrape would, for a test that is not about the deadline."""
    monkeypatch.setattr(reading, "FIRST_DEADLINE", TIMEOUT)
    monkeypatch.setattr(reading, "DEADLINE", TIMEOUT)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again whenever it is asked."""
    monkeypatch.setattr(reading, "INTERVAL", 0.0)
    monkeypatch.setattr(reading, "MOST_PAUSE", 0.0)
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.0)


async def test_figures_of_a_new_service(database: Database, storage: MemoryStorage) -> None:
    found = await read(database, storage)
    assert found.database
    assert found.database.is_up
    assert found.storage
    assert found.storage.is_up
    assert found.queue == tuple(QueuedJobs(task, 0, 0, 0, 0, 0.0) for task in sorted(TASKS))
    assert found.stored == StoredImages(0, 0)
    assert found.maintenance == Maintenance(None, None, None)
    assert found.cache is None, "there is none"
    assert found.space is None, "memory has no bounds"


async def test_images_are_counted_with_their_bytes(
    database: Database, storage: MemoryStorage
) -> None:
    await add(database, row(file_size=3_000_000_000), row(file_size=5))
    assert (await read(database, storage)).stored == StoredImages(2, 3_000_000_005)


async def test_jobs_are_counted_by_task_and_state(
    database: Database, storage: MemoryStorage
) -> None:
    async with database.write() as session:
        await insert_jobs(session, [NewJob(RENDER, subject) for subject in "abcdef"])
    await execute(
        database,
        "UPDATE procrastinate_jobs SET created_at = now() - interval '1 hour' "
        "WHERE args->>'subject' = 'a'",
        "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour', "
        "created_at = now() - interval '2 hours' WHERE args->>'subject' = 'c'",
        "UPDATE procrastinate_jobs SET status = 'doing' WHERE args->>'subject' = 'd'",
        "UPDATE procrastinate_jobs SET status = 'failed' WHERE args->>'subject' IN ('e', 'f')",
    )
    queue = (await read(database, storage)).queue
    assert queue
    (render,) = [jobs for jobs in queue if jobs.task == RENDER]
    assert render[:-1] == (RENDER, 2, 1, 1, 2)
    assert 3600 <= render.oldest_seconds < 3700, "one that is postponed is not waiting"


async def test_what_operators_did_last_is_kept(database: Database, storage: MemoryStorage) -> None:
    await record_fsck(database, 7, is_thorough=True)
    await record_fsck(database, 3, is_thorough=True)
    await record_backup(database)
    maintenance = (await read(database, storage)).maintenance
    assert maintenance
    assert maintenance.fsck_at
    assert maintenance.backup_at
    assert maintenance.fsck_findings == 3
    for moment in (maintenance.fsck_at, maintenance.backup_at):
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


async def test_a_folder_has_the_room_of_its_file_system(database: Database, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "images")
    await storage.prepare()
    space = (await read(database, storage)).space
    await storage.close()
    assert space
    assert 0 < space.free < space.size


async def test_without_a_database_the_rest_is_read(storage: MemoryStorage) -> None:
    found = await read(Database("postgresql+asyncpg://127.0.0.1:1/nothing"), storage)
    assert found.database
    assert not found.database.is_up
    assert "127.0.0.1:1" in found.database.reason
    assert found.storage
    assert found.storage.is_up
    assert (found.queue, found.stored, found.maintenance) == (None, None, None)


async def test_a_database_that_does_not_answer_holds_nobody_up(
    database_url: URL,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
    at_once: None,
) -> None:
    monkeypatch.setattr(reading, "FIRST_DEADLINE", 0.2)
    monkeypatch.setattr(reading, "DEADLINE", 0.2)
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 0.4)
    with DatabaseProxy(database_url).running() as proxy:
        database = Database(proxy.url, maintenance=True)  # whose statements have no deadline
        async with open_reader(database, storage) as reader, asyncio.timeout(TIMEOUT):
            found = await reader.read()
            proxy.hold()
            while not found.database or found.database.is_up:
                found = await reader.read()
            assert (found.queue, found.stored, found.maintenance) == (None, None, None)
            assert found.storage
            assert found.storage.is_up
            proxy.release()
        await database.close()


async def test_what_cannot_be_used_is_known_since_it_was_first_found(
    database: Database,
    at_once: None,
) -> None:

    class Storage(MemoryStorage):
        is_up = True

        async def probe(self) -> None:
            if not self.is_up:
                raise StorageUnavailable

    storage = Storage()
    async with open_reader(database, storage) as reader:
        up = (await reader.read()).storage
        assert up
        assert up.is_up
        assert (await reader.read()).storage == up
        storage.is_up = False
        down = (await reader.read()).storage
        assert down
        assert not down.is_up
        assert down.since > up.since
        assert (await reader.read()).storage == down


async def test_all_is_read_again_once_something_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    monkeypatch.setattr(reading, "MOST_PAUSE", 1000.0)
    monkeypatch.setattr(figures, "SHARE", 1e-9)

    class Storage(MemoryStorage):
        is_up = False

        async def probe(self) -> None:
            if not self.is_up:
                raise StorageUnavailable

    storage = Storage()
    async with open_reader(database, storage) as reader:
        for _ in range(2):
            assert (await reader.read()).stored == StoredImages(0, 0)
        await add(database, row())
        assert (await reader.read()).stored == StoredImages(0, 0), "it has taken too long"
        storage.is_up = True
        assert (await reader.read()).storage
        assert (await reader.read()).stored == StoredImages(1, 1234)


async def test_nothing_is_read_more_often_than_every_few_seconds(
    database: Database, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reading.INTERVAL == 5
    monkeypatch.setattr(reading, "INTERVAL", 3600.0)
    async with open_reader(database, storage) as reader:
        first = await reader.read()
        await add(database, row())
        assert await reader.read() == first


async def test_what_takes_long_is_answered_as_it_was_until_it_is_read_again(
    database: Database, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    """As counting many rows does, for which a lock stands here."""
    async with open_reader(database, storage) as reader:
        assert (await reader.read()).stored == StoredImages(0, 0)
        monkeypatch.setattr(reading, "DEADLINE", 0.05)
        async with database.write() as session:
            await session.execute(text("LOCK TABLE images"))
            session.add(row())
            await session.flush()
            assert (await reader.read()).stored == StoredImages(0, 0)
        async with asyncio.timeout(TIMEOUT):
            while (await reader.read()).stored != StoredImages(1, 1234):
                pass


async def test_what_nobody_has_asked_for_in_a_while_is_not_answered_as_it_was(
    database: Database, storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    async with open_reader(database, storage) as reader:
        await reader.read()
        monkeypatch.setattr(reading, "KEPT_SECONDS", 0.0)
        monkeypatch.setattr(reading, "FIRST_DEADLINE", 0.2)
        monkeypatch.setattr(reading, "DEADLINE", 0.2)
        async with database.write() as session:
            await session.execute(text("LOCK TABLE images"))
            assert (await reader.read()).stored is None
