"""What the tests stand on: a real PostgreSQL, real folders, the real application."""

import asyncio
import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import fastapi.dependencies.models
import httpx
import hypothesis
import pytest
from sqlalchemy.engine import URL, make_url

from app.config.settings import Settings
from app.database import engine
from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.observability.observer import SILENT
from app.services import idempotency, thumbnails
from app.storage.local import process, staged_file
from app.storage.local.backend import LocalStorage
from testkit.asgi import CLIENT, OpenClient, Upload, image_of, open_client
from testkit.ceph import Ceph, running_ceph
from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute, prepare
from testkit.faulty_disk import FaultyDisk
from testkit.live import TIMEOUT, StoredFiles
from testkit.settings import make_settings, setting_names
from testkit.storages import OpenStorage

MAX_PROCESSES = 8
"""Each has a PostgreSQL of its own, and some a browser: half a gigabyte."""

hypothesis.settings.register_profile(
    "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no clock")  # machines are shared; speed is not tested here


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the HTTP client, and give the session a folder of its own.

    httpx's default timeout is 5 seconds, less than a busy machine needs. Each of its clients reads
    the certificates of all authorities, which costs 20 ms: here they are read once.

    The folder that all sessions of a user share by default is closed to other users by each.
    Temporary files are in it too, so that those of services that tests kill, such as the folders
    of databases' sockets, are removed with it.
    """
    for phase in ("connect", "read", "write", "pool"):
        setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, phase, TIMEOUT)
    setattr(httpx._transports.default, "create_ssl_context", cache(httpx.create_ssl_context))  # noqa: B010 - mypy
    if not config.option.basetemp:
        folder = tempfile.mkdtemp(prefix="image-host-tests-")
        config.option.basetemp = folder
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        config.add_cleanup(lambda: _remove_in_background(folder))


def _remove_in_background(folder: str) -> None:
    """Remove a hundred thousand folders, which no session need wait for."""
    in_background = 'rm -rf "$1" >/dev/null 2>&1 &'
    subprocess.run(["sh", "-c", in_background, "sh", folder], check=True)  # noqa: S603, S607


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Let other users reach their files below the session's folder: PostgreSQL's, if root tests."""
    folder: Path = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    folder.chmod(0o711)


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the tests: two a core, for most tests wait most of the time."""
    return min(2 * (os.cpu_count() or 1), MAX_PROCESSES)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the person who runs the tests get into them."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test that is about something else wait longer than a client would.

    For a connection to the database, and for a thumbnail; for the removal of a file that is not
    wanted, and for the end of a claim.
    """
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(thumbnails, "WAIT_SECONDS", TIMEOUT)
    monkeypatch.setattr(staged_file, "DISCARD_SECONDS", TIMEOUT)
    monkeypatch.setattr(idempotency, "RELEASE_SECONDS", TIMEOUT)


@pytest.fixture(autouse=True)
def _freed_applications() -> Iterator[None]:
    """Let no application outlive its test: each is megabytes, and all that it works with.

    FastAPI remembers thousands of functions, those of routes too, which know their application.
    """
    yield
    for remembering in vars(fastapi.dependencies.models).values():
        if hasattr(remembering, "cache_clear"):
            remembering.cache_clear()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """Run a PostgreSQL for the session, or use the one of TEST_DATABASE_URL."""
    with ExitStack() as opened:
        given = os.environ.get("TEST_DATABASE_URL")
        if given:
            yield make_url(given).set(drivername="postgresql+asyncpg")
        else:
            folder = tmp_path_factory.mktemp("database") / "postgres"
            url = opened.enter_context(embedded_postgres(folder))
            # It is only ever killed, which loses nothing that it wrote: so no test waits for a disk
            # that the files of all others go to.
            asyncio.run(execute(url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"))
            yield url


@pytest.fixture(scope="session")
def _session_database(postgres_url: URL) -> Iterator[URL]:
    """Make a database of this session's own, with the tables, and remove it at the end."""
    name = f"test_{secrets.token_hex(6)}"
    url = postgres_url.set(database=name)
    with asyncio.Runner() as runner:
        runner.run(execute(postgres_url, f"CREATE DATABASE {name}"))
        runner.run(prepare(url))
        yield url
        runner.run(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


_EMPTY = """
    DO $$ BEGIN
        -- A table of a few rows is emptied in a tenth of the time that new files for it take.
        IF pg_relation_size('images') + pg_relation_size('procrastinate_jobs') > 1000000 THEN
            TRUNCATE images, procrastinate_jobs CASCADE;
        END IF;
        DELETE FROM images;
        DELETE FROM users;
        DELETE FROM idempotency_keys;
        DELETE FROM procrastinate_jobs;
        DELETE FROM procrastinate_workers;
        DELETE FROM periodic_tasks;
        UPDATE installation
            SET storage_id = NULL, fsck_at = NULL, fsck_findings = NULL, backup_at = NULL
            WHERE coalesce(storage_id::text, fsck_at::text, backup_at::text) IS NOT NULL;
    END $$
"""


@pytest.fixture
async def database_url(_session_database: URL) -> URL:
    """Return a database with no rows, of no storage yet."""
    await execute(_session_database, _EMPTY)
    return _session_database


@pytest.fixture
async def database(database_url: URL) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def proxy(database_url: URL) -> Iterator[DatabaseProxy]:
    """Yield a proxy before the database."""
    with DatabaseProxy(database_url).running() as proxy:
        yield proxy


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """Run a store with the S3 interface for the session; tests mark themselves `needs_ceph`."""
    with running_ceph(tmp_path_factory.mktemp("ceph")) as ceph:
        yield ceph


@pytest.fixture
def bucket(ceph: Ceph) -> str:
    """Return the name of an empty bucket."""
    return ceph.make_bucket()


@pytest.fixture
async def open_storage() -> AsyncIterator[OpenStorage]:
    """Make storages over folders, which end with the test."""
    opened: list[LocalStorage] = []

    def open_storage(root: Path, **limits: Any) -> LocalStorage:
        opened.append(LocalStorage(root, **limits))
        return opened[-1]

    yield open_storage
    for storage in opened:
        await storage.close()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FaultyDisk:
    """Let all storages that start writing from now on do so over a disk that can be made fail."""
    faults = tmp_path_factory.mktemp("disk") / "faults.json"
    monkeypatch.setenv("WRITER_FAULTS", str(faults))
    monkeypatch.setattr(
        process, "PROGRAM", str(Path(__file__).parents[1] / "testkit" / "faulty_writer.py")
    )
    return FaultyDisk(faults)


@pytest.fixture
def settings(database_url: URL, tmp_path: Path) -> Settings:
    return make_settings(database_url, tmp_path / "data")


@pytest.fixture(name="open_client")
def _open_client(settings: Settings) -> OpenClient:
    """Open the application with some settings changed."""
    return lambda client=CLIENT, observer=SILENT, **changes: open_client(
        settings.model_copy(update=changes), client, observer
    )


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as client:
        yield client


@pytest.fixture
def upload(client: httpx.AsyncClient) -> Upload:
    async def upload(content: bytes, filename: str = "photo.jpg", **fields: str) -> dict[str, Any]:
        response = await client.post(
            "/api/v1/images/upload",
            data=fields,
            files={"file": (filename, content, "image/jpeg")},
        )
        return image_of(response)

    return upload


@pytest.fixture
def stored_files(settings: Settings) -> StoredFiles:
    """List every file of the storage: published, staged or left over."""

    def list_files() -> list[Path]:
        return [path for path in (settings.data_dir / "images").glob("*/*") if path.is_file()]

    return list_files
