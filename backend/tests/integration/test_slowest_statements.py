"""What a database counts of its statements is read by the names that they have, where it counts."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from secrets import token_hex
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.database.measured import MeasuredDatabase
from app.observability.figures import Figures, StatementTotals
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.figures import FiguresCollector
from app.observability.observer import SILENT
from app.services import figures, reading
from app.statements.images import find_images
from app.statements.slowest import list_slowest
from app.storage.memory import MemoryStorage
from testkit.contrib_postgres import contrib_postgres
from testkit.databases import execute, prepare
from testkit.figures import open_reader
from testkit.live import TIMEOUT
from testkit.programs import needs_postgres

pytestmark = needs_postgres

EXTENSION = "CREATE EXTENSION pg_stat_statements"
ALL = 1000


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """Run a database that can count statements."""
    with contrib_postgres("pg_stat_statements") as url:
        yield url


@pytest.fixture
async def administrator(server: URL) -> AsyncIterator[URL]:
    """Make a database that belongs to a role without rights; yield the administrator's address."""
    name = f"images_{token_hex(6)}"
    await execute(server, f"CREATE ROLE {name} LOGIN", f"CREATE DATABASE {name} OWNER {name}")
    yield server.set(database=name)
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")


@pytest.fixture
async def url(administrator: URL) -> URL:
    """Return the address that the service has; it may do no more than own its tables."""
    url = administrator.set(username=administrator.database)
    await prepare(url)
    return url


@asynccontextmanager
async def measured(url: URL) -> AsyncIterator[MeasuredDatabase]:
    database = MeasuredDatabase(url, 1, SILENT)
    yield database
    await database.close()


async def find(database: Database, times: int = 1) -> None:
    for _ in range(times):
        async with database.read() as session:
            await find_images(session, [uuid4()])


async def slowest(database: Database, limit: int = ALL) -> dict[str, StatementTotals]:
    async with database.read() as session:
        found = await list_slowest(session, limit)
    assert [one.seconds for one in found] == sorted((one.seconds for one in found), reverse=True)
    assert all(one.name for one in found)
    assert len({one.name for one in found}) == len(found)
    return {one.name: one for one in found}


async def test_statements_are_counted_under_their_names(administrator: URL, url: URL) -> None:
    await execute(administrator, EXTENSION)
    async with measured(url) as database:
        await find(database)
        before = (await slowest(database))["images.find_images"]
        await find(database, 3)
        after = (await slowest(database))["images.find_images"]
        assert after.calls == before.calls + 3
        assert before.seconds < after.seconds < 60
        assert len(await slowest(database, 2)) == 2


async def test_a_statement_without_a_name_has_its_number(administrator: URL, url: URL) -> None:
    await execute(administrator, EXTENSION)
    database = Database(url, 1)
    await find(database, 5)
    names = {one.name for one in (await slowest(database)).values() if one.calls == 5}
    await database.close()
    assert len(names) == 1
    assert int(names.pop())


async def test_a_function_that_executes_several_statements_has_one_sum(
    administrator: URL, url: URL
) -> None:
    await execute(administrator, EXTENSION)
    async with measured(url) as database:
        async with database.read() as session:
            for statement in ("SELECT 1", "SELECT 1, 2", "SELECT 1, 2"):
                await session.execute(text(statement))
        # And three that SQLAlchemy asks a new server.
        assert (await slowest(database))["other"].calls >= 3


async def test_what_another_role_executes_is_left_out(administrator: URL, url: URL) -> None:
    await execute(administrator, EXTENSION)
    async with measured(url) as database:
        await find(database)
        known = await slowest(database)
        async with measured(administrator) as theirs:
            await find(theirs, 7)
        assert (await slowest(database))["images.find_images"] == known["images.find_images"]


async def test_what_is_executed_in_another_database_is_left_out(
    administrator: URL, url: URL
) -> None:
    await execute(administrator, EXTENSION)
    async with (
        measured(administrator) as database,
        measured(administrator.set(database="postgres")) as other,
    ):
        await find(database)
        async with other.read() as session:
            await session.execute(text("SELECT 1, 2, 3"))
        assert "other" not in await slowest(database)


async def test_the_extension_is_found_in_any_schema(administrator: URL, url: URL) -> None:
    await execute(
        administrator,
        'CREATE SCHEMA "of an operator"',
        f'{EXTENSION} SCHEMA "of an operator"',
    )
    async with measured(url) as database:
        await find(database)
        assert await read(database) is None, "the schema may not be used"
        await execute(administrator, 'GRANT USAGE ON SCHEMA "of an operator" TO public')
        assert "images.find_images" in await slowest(database)


async def test_without_the_extension_nothing_is_read(url: URL) -> None:
    async with measured(url) as database:
        await find(database)
        assert await slowest(database) == {}
        assert await read(database) is None


async def test_an_extension_whose_library_is_not_loaded_counts_nothing() -> None:
    with contrib_postgres() as url:
        await execute(url, EXTENSION)
        async with measured(url) as database:
            assert await slowest(database) == {}


async def test_a_scrape_has_the_slowest_statements(administrator: URL, url: URL) -> None:
    await execute(administrator, EXTENSION)
    async with measured(url) as database:
        await find(database)
        await execute(administrator, "SELECT pg_stat_statements_reset()")
        await find(database, 3)
        found = await read_figures(database)
    registry = CollectorRegistry()
    registry.register(FiguresCollector(lambda: found))
    lines = Exposition(registry).render().decode().splitlines()
    assert 'image_host_database_statement_calls_total{statement="images.find_images"} 3.0' in lines
    seconds = [line for line in lines if line.startswith("image_host_database_statement_seconds")]
    assert seconds
    assert len(seconds) <= figures.STATEMENTS


async def read(database: Database) -> object:
    return (await read_figures(database)).statements


async def read_figures(database: Database) -> Figures:
    async with open_reader(database, MemoryStorage()) as reader:
        found = await reader.read()
    assert found.database
    assert found.database.is_up
    return found


@pytest.fixture(autouse=True)
def _ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer than a scrape would for what is not known yet."""
    monkeypatch.setattr(reading, "FIRST_DEADLINE", TIMEOUT)
