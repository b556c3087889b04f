"""Statements, errors and connections are observed, under names that operators recognise."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from uuid import uuid4

import httpx
import pytest
from procrastinate.manager import JobManager
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.composition.worker import open_worker
from app.config.settings import Settings
from app.database import engine
from app.database.engine import Database
from app.database.measured import MeasuredDatabase
from app.database.names import UNNAMED
from app.domain.actor import Scope
from app.domain.errors import DatabaseUnavailable
from app.domain.user import UserRole
from app.observability.observer import Observer, PoolState
from app.statements.images import find_images, rename_image
from testkit.asgi import open_client
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.keys import make_key
from testkit.live import TIMEOUT, until
from testkit.samples import jpeg

POOL = 2
ROOMS = ("app.statements", "app.database")


class Noted(Observer):
    """Remembers what it is told."""

    is_silent = False

    def __init__(self) -> None:
        self.statements = Counter[str]()
        self.longest = timedelta()
        self.errors = Counter[str]()
        self.batches: list[tuple[str, int]] = []
        self.read_pool: Callable[[], PoolState] | None = None

    def statement(self, name: str, seconds: float) -> None:
        self.statements[name] += 1
        self.longest = max(self.longest, timedelta(seconds=seconds))

    def database_error(self, name: str) -> None:
        self.errors[name] += 1

    def batch(self, name: str, size: int, seconds: float) -> None:
        assert 0 <= seconds < 60
        self.batches.append((name, size))

    def watch_pool(self, read: Callable[[], PoolState]) -> None:
        assert self.read_pool is None, "two pools would be one figure"
        self.read_pool = read


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
async def measured(database_url: URL, noted: Noted) -> AsyncIterator[MeasuredDatabase]:
    database = MeasuredDatabase(database_url, POOL, noted)
    await execute(database, "SELECT 1")  # after what SQLAlchemy asks a server first
    noted.statements.clear()
    yield database
    await database.close()


async def execute(database: MeasuredDatabase, *statements: str) -> None:
    async with database.read() as session:
        for statement in statements:
            await session.execute(text(statement))


async def connect(database: MeasuredDatabase) -> None:
    """Open a connection, which may take longer than a deadline of the test."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            with suppress(DatabaseUnavailable):
                return await execute(database, "SELECT 1")


async def test_a_statement_is_named_for_the_function_that_executes_it(
    measured: MeasuredDatabase, noted: Noted
) -> None:
    async with measured.read() as session:
        await find_images(session, [uuid4()])
    async with measured.write() as session:
        await rename_image(session, uuid4(), "new.jpg")
    assert noted.statements == {
        "images.find_images": 1,
        "search.renewed_search": 1,
        "images.rename_image": 1,
        "commit": 1,
    }


async def test_the_database_sees_the_name_of_a_statement(measured: MeasuredDatabase) -> None:
    own = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    async with measured.read() as session:
        assert await session.scalar(text(own)) == f"/* {UNNAMED} */ {own}"


async def test_a_statement_that_fails_has_taken_its_time_too(
    measured: MeasuredDatabase, noted: Noted
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await execute(measured, "SET statement_timeout = 200", "SELECT pg_sleep(60)")
    assert noted.longest >= timedelta(seconds=0.2)
    assert noted.errors == {"QueryCanceledError": 1}


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0", "DivisionByZeroError"),
        ("SELECT nothing", "UndefinedColumnError"),
        ("SELECT pg_terminate_backend(pg_backend_pid())", "AdminShutdownError"),
    ],
)
async def test_an_error_is_known_by_its_class(
    measured: MeasuredDatabase, noted: Noted, statement: str, error: str
) -> None:
    with pytest.raises(Exception, match=r"\w"):
        await execute(measured, statement)
    assert noted.errors == {error: 1}


async def test_a_database_that_is_not_there_is_an_error_of_its_class(noted: Noted) -> None:
    port = lasting_port()
    database = MeasuredDatabase(f"postgresql://me@127.0.0.1:{port}/x", POOL, noted)
    with pytest.raises(DatabaseUnavailable):
        await execute(database, "SELECT 1")
    assert noted.errors == {"ConnectionRefusedError": 1}
    assert not noted.statements


@pytest.mark.parametrize("deadline", ["CONNECT_TIMEOUT", "COMMAND_TIMEOUT"])
async def test_a_database_that_does_not_answer_in_time_is_an_error_of_its_class(
    proxy: DatabaseProxy, noted: Noted, monkeypatch: pytest.MonkeyPatch, deadline: str
) -> None:
    database = MeasuredDatabase(proxy.url, POOL, noted)
    if deadline == "COMMAND_TIMEOUT":
        monkeypatch.setattr(engine, deadline, 1)
        await connect(database)
        noted.errors.clear()
    monkeypatch.setattr(engine, deadline, 1)
    proxy.hold()
    with pytest.raises(DatabaseUnavailable):
        await execute(database, "SELECT 1")
    assert noted.errors == {"TimeoutError": 1}
    proxy.release()
    await database.close()


async def test_who_waits_for_a_connection_is_counted_and_who_has_waited_too_long(
    database_url: URL, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "POOL_TIMEOUT", TIMEOUT)
    database = MeasuredDatabase(database_url, POOL, noted)
    read = noted.read_pool
    assert read
    assert read() == PoolState(size=POOL, used=0, idle=0, waiting=0)
    async with database.read() as first, database.read() as second:
        for session in (first, second):
            await session.execute(text("SELECT 1"))
        waiting = [asyncio.create_task(execute(database, "SELECT 1")) for _ in range(3)]
        await until(lambda: read() == PoolState(size=POOL, used=2, idle=0, waiting=3))
        monkeypatch.setattr(database._engine.pool, "_timeout", 0.05)
        with pytest.raises(DatabaseUnavailable):
            await execute(database, "SELECT 1")
        assert noted.errors == {"PoolTimeout": 1}
    await asyncio.gather(*waiting)
    assert noted.errors == {"PoolTimeout": 1}
    assert read() == PoolState(size=POOL, used=0, idle=2, waiting=0)
    await database.close()
    assert read() == PoolState(size=POOL, used=0, idle=0, waiting=0)


async def test_the_pool_logs_no_more_than_where_nothing_is_measured(
    measured: MeasuredDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    async with measured.read() as session:
        await session.execute(text("SELECT 1"))
    await measured.close()
    assert caplog.messages == []


async def test_all_that_a_service_and_its_worker_execute_has_a_name(
    settings: Settings, database: Database
) -> None:
    holder = await make_key(database, *Scope, role=UserRole.ADMIN)
    service, worker = Noted(), Noted()
    stopping = asyncio.Event()
    async with open_worker(settings, worker) as jobs:
        working = asyncio.create_task(jobs.run(stopping, beat))
        async with open_client(settings, observer=service) as client:
            client.headers.update(holder.headers)
            await use(client)
        stopping.set()
        await working
    assert service.statements.keys() >= {
        *("commit", "images.find_images", "images.insert_images", "images.delete_images"),
        *("idempotency.insert_claim", "jobs.insert_jobs", "keys.find_known_keys"),
        *("listing.list_images", "storage_use.add_use", "revisions.read_revision"),
    }
    assert worker.statements.keys() >= {
        *("attempts.settle", "queue.fetch_job", "queue.register_worker"),
        "rendering.record_rendition",
    }
    names = {*service.statements, *worker.statements} - {"commit"}
    assert UNNAMED not in names
    for name in names:
        module, function = name.split(".")
        if module == "queue":
            assert callable(getattr(JobManager, function))
        else:
            found = [room for room in ROOMS if find_spec(f"{room}.{module}")]
            assert len(found) == 1, f"{name} might be of several modules"
            assert callable(getattr(import_module(f"{found[0]}.{module}"), function))
    batches = Counter(name for name, _ in service.batches)
    assert batches.keys() >= {"file_writes", "image_details", "images", "insertions", "keys"}
    assert all(size == 1 for _, size in service.batches)
    assert not service.errors
    assert not worker.errors


async def use(client: httpx.AsyncClient) -> None:
    """Do what people do with images."""
    images = []
    for headers in ({}, {"Idempotency-Key": str(uuid4())}):
        file = {"file": ("photo.jpg", jpeg())}
        sent = await client.post("/api/v1/images/upload", files=file, headers=headers)
        images.append(sent.json())
    path = f"/api/v1/images/{images[0]['id']}"
    for page in ("", "?q=photo", "?type=image/jpeg", f"?checksum={images[0]['checksum']}"):
        assert (await client.get(f"/api/v1/images{page}")).json()["items"]
    for thing in ("", "/file", "/thumbnails/150", "/statistics"):
        assert (await client.get(f"{path}{thing}")).status_code == httpx.codes.OK, thing
    for change in ({"filename": "sea.jpg"}, {"is_public": False}):
        assert (await client.patch(path, json=change)).status_code == httpx.codes.OK
    assert (await client.get("/api/v1/users/me")).status_code == httpx.codes.OK
    assert (await client.get("/health/ready")).status_code == httpx.codes.OK
    ids = {"ids": [image["id"] for image in images]}
    gone = await client.post("/api/v1/images/batch-delete", json=ids)
    assert gone.json()["failed"] == []


async def beat() -> None:
    """Nobody listens."""
