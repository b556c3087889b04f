"""What the tests stand on: a real PostgreSQL, real folders, the real application."""

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import httpx
import hypothesis
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.types import Receive, Scope, Send

from app.composition import create_app
from app.config.settings import PREFIX, Settings
from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.database.revisions import migrate
from app.storage.local import process
from app.storage.local.backend import LocalStorage
from testkit.live import PATIENCE
from tests.service.database_proxy import DatabaseProxy

MAX_UPLOAD_BYTES = 2 * 1024 * 1024
"""The limit in tests: several blocks of the storage, and yet soon exceeded."""
MAX_PROCESSES = 8
"""Each has a PostgreSQL of its own, and some a browser: half a gigabyte."""
CLIENT = "192.0.2.7"
"""The address that requests come from (RFC 5737)."""

hypothesis.settings.register_profile(
    "no clock", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no clock")  # machines are shared; speed is not tested here

OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let clients wait as long as a busy machine needs; give the session a folder of its own.

    httpx gives up after 5 seconds. The folder that all sessions of a user share by default is
    closed to other users by each; where root runs the tests, PostgreSQL is another.
    """
    for phase in ("connect", "read", "write", "pool"):
        setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, phase, PATIENCE)
    if not config.option.basetemp:
        folder = mkdtemp(prefix="image-host-tests-")
        Path(folder).chmod(0o711)  # by which a user without privileges reaches its own
        config.option.basetemp = folder
        config.add_cleanup(lambda: rmtree(folder, ignore_errors=True))


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run the tests: two a core, for most tests wait most of the time."""
    return min(2 * (os.cpu_count() or 1), MAX_PROCESSES)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of the person who runs the tests get into them."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """Run a PostgreSQL for the session, or use the one of TEST_DATABASE_URL."""
    with ExitStack() as opened:
        given = os.environ.get("TEST_DATABASE_URL")
        if given:
            yield make_url(given).set(drivername="postgresql+asyncpg")
        else:
            folder = tmp_path_factory.mktemp("database") / "postgres"
            yield opened.enter_context(embedded_postgres(folder))


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


@pytest.fixture
async def database_url(_session_database: URL) -> URL:
    """Give a database with no rows, of no storage yet."""
    await execute(_session_database, "TRUNCATE images")
    await execute(_session_database, "UPDATE installation SET storage_id = NULL")
    return _session_database


@pytest.fixture
async def database(database_url: URL) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def proxy(database_url: URL) -> Iterator[DatabaseProxy]:
    """Give a proxy before the database."""
    with DatabaseProxy(database_url).running() as proxy:
        yield proxy


OpenStorage = Callable[..., LocalStorage]


@pytest.fixture
async def open_storage() -> AsyncIterator[OpenStorage]:
    """Make storages over folders, which end with the test."""
    opened: list[LocalStorage] = []

    def open_storage(root: Path, **limits: int) -> LocalStorage:
        opened.append(LocalStorage(root, **limits))
        return opened[-1]

    yield open_storage
    for storage in opened:
        await storage.close()


class Disk:
    """What the processes that write uploads meet; see `testkit.faulty_writer`."""

    def __init__(self, faults: Path) -> None:
        self._faults = faults

    @contextmanager
    def failing(self, step: str, number: int) -> Iterator[None]:
        """Fail in a step of publishing with an error of the system."""
        with self._meeting(step=step, errno=number):
            yield

    @contextmanager
    def hanging(self, step: str) -> Iterator[Callable[[], bool]]:
        """Let a step last to the end of the block; gives a function that tells if it has begun."""
        with self._meeting(step=step, errno=0):
            yield self._faults.with_suffix(".reached").exists

    @contextmanager
    def used_by(self, user: int) -> Iterator[None]:
        """Let permissions bind also where the tests run as root."""
        with self._meeting(user=user):
            yield

    @contextmanager
    def _meeting(self, **faults: Any) -> Iterator[None]:
        whole = self._faults.with_suffix(".new")
        whole.write_text(json.dumps(faults))
        whole.rename(self._faults)
        try:
            yield
        finally:
            self._faults.unlink()


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Let all storages that start writing from now on do so over a disk that can be made fail."""
    faults = tmp_path_factory.mktemp("disk") / "faults.json"
    monkeypatch.setenv("WRITER_FAULTS", str(faults))
    monkeypatch.setattr(
        process, "PROGRAM", str(Path(__file__).parents[1] / "testkit" / "faulty_writer.py")
    )
    return Disk(faults)


@pytest.fixture
def settings(database_url: URL, tmp_path: Path) -> Settings:
    return make_settings(database_url, tmp_path / "data")


@pytest.fixture
def open_client(settings: Settings) -> OpenClient:
    """Open the application with some settings changed."""

    @asynccontextmanager
    async def open_client(client: str = CLIENT, **changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(settings.model_copy(update=changes))

        async with app.router.lifespan_context(app) as state:
            assert state is not None

            async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
                await app({**scope, "state": dict(state)}, receive, send)

            transport = httpx.ASGITransport(with_state, client=(client, 50_000))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://images.localhost"
            ) as opened:
                yield opened

    return open_client


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client() as client:
        yield client


@pytest.fixture
def stored_files(settings: Settings) -> Callable[[], list[Path]]:
    """List every file of the storage: published, staged or left over."""

    def list_files() -> list[Path]:
        return [path for path in (settings.data_dir / "images").glob("*/*") if path.is_file()]

    return list_files


def setting_names() -> set[str]:
    """Give every variable that the service reads its settings from."""
    names = {name.upper() for name in Settings.model_fields}
    return names | {PREFIX + name for name in names}


def make_settings(database_url: URL, data_dir: Path, **changes: Any) -> Settings:
    return Settings(
        database_url=SecretStr(database_url.render_as_string(hide_password=False)),
        data_dir=data_dir,
        **{"max_upload_bytes": MAX_UPLOAD_BYTES, **changes},
    )


async def prepare(url: URL) -> None:
    """Make the tables, as `make migrate` does."""
    await migrate(Database(url), lambda _line: None)


async def execute(url: URL, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
