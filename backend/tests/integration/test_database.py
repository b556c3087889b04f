"""The database as the service uses it: sessions, the schema, and every way it can fail."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from app.database.embedded import embedded_postgres
from app.database.engine import CONNECTIONS, Database
from app.database.migration import migrate
from app.database.revisions import require_head
from app.domain.errors import DatabaseUnavailable
from app.models import ImageRow
from testkit.daemons import lasting_port
from testkit.databases import execute, select_one
from testkit.live import until


async def test_a_write_is_committed_at_the_end_of_its_block(database: Database) -> None:
    async with database.write() as session:
        await session.execute(text("CREATE TEMP TABLE seen (x int) ON COMMIT DROP"))
    async with database.read() as session:
        assert (await session.execute(text("SELECT to_regclass('seen')"))).scalar() is None


async def test_an_error_in_the_block_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await session.execute(text("CREATE TABLE never (x int)"))
            raise RuntimeError
    async with database.read() as session:
        assert (await session.execute(text("SELECT to_regclass('never')"))).scalar() is None


async def test_reading_opens_no_transaction(database: Database) -> None:
    async with database.read() as session:
        first = (await session.execute(text("SELECT now()"))).scalar()
        second = (await session.execute(text("SELECT now()"))).scalar()
    assert first != second, "now() stands still within a transaction"


async def test_the_server_keeps_the_statements_that_it_has_prepared(database: Database) -> None:
    kept = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%count%'")
    for _ in range(3):
        async with database.read() as session:
            assert await session.scalar(kept) == 1


async def test_an_error_of_the_program_is_not_taken_for_an_outage(database: Database) -> None:
    with pytest.raises(DBAPIError):
        async with database.read() as session:
            await session.execute(text("SELECT 1 / 0"))


async def test_the_table_has_exactly_these_columns(database: Database) -> None:
    async with database.read() as session:
        columns = await session.execute(
            text(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_name = 'images' ORDER BY ordinal_position"
            )
        )
    assert [tuple(row) for row in columns] == [
        ("id", "uuid"),
        ("filename", "character varying"),
        ("storage_key", "character varying"),
        ("content_type", "character varying"),
        ("file_size", "bigint"),
        ("upload_ip", "inet"),
        ("created_at", "timestamp with time zone"),
        ("width", "integer"),
        ("height", "integer"),
        ("checksum", "bytea"),
        ("truncated", "boolean"),
        ("placeholder", "bytea"),
        ("rendered_at", "timestamp with time zone"),
        ("thumbnail_sizes", "ARRAY"),
        ("render_error", "character varying"),
        ("metadata", "jsonb"),
        ("updated_at", "timestamp with time zone"),
        ("search", "tsvector"),
        ("owner_id", "uuid"),
        ("is_public", "boolean"),
    ]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"filename": ""}, "ck_images_filename_not_empty"),
        ({"content_type": "image/tiff"}, "ck_images_content_type_accepted"),
        ({"file_size": 0}, "ck_images_file_size_positive"),
        ({"width": 0}, "ck_images_width_positive"),
        ({"height": -1}, "ck_images_height_positive"),
        ({"checksum": b"x" * 31}, "ck_images_checksum_length"),
        ({"filename": "x" * 256}, "too long"),
        ({"filename": None}, "null value"),
        ({"storage_key": "taken"}, "uq_images_storage_key"),
        ({"id": "00000000-0000-0000-0000-000000000001"}, "pk_images"),
    ],
)
async def test_the_database_itself_refuses_a_bad_row(
    database: Database, change: dict[str, object], constraint: str
) -> None:
    insert = text(
        "INSERT INTO images (id, filename, storage_key, content_type, file_size, width, height, "
        "checksum) VALUES (:id, :filename, :storage_key, :content_type, :file_size, :width, "
        ":height, :checksum)"
    )
    good = {
        "id": "00000000-0000-0000-0000-000000000001",
        "filename": "a.jpg",
        "storage_key": "taken",
        "content_type": "image/jpeg",
        "file_size": 1,
        "width": None,
        "height": None,
        "checksum": b"x" * 32,
    }
    other = {**good, "id": "00000000-0000-0000-0000-000000000002", "storage_key": "free"}
    async with database.write() as session:
        await session.execute(insert, good)
    with pytest.raises(DBAPIError, match=constraint):
        async with database.write() as session:
            await session.execute(insert, {**other, **change})


def test_every_constraint_has_a_name() -> None:
    assert all(constraint.name for constraint in ImageRow.metadata.tables["images"].constraints)


async def test_a_database_that_refuses_connections_is_unavailable() -> None:
    database = Database(f"postgresql+asyncpg://me:secret@127.0.0.1:{lasting_port()}/x")
    for act in (select_one(database), require_head(database), migrate(database, print)):
        with pytest.raises(DatabaseUnavailable):
            await act
    await database.close()


async def test_a_database_that_does_not_exist_is_unavailable(postgres_url: URL) -> None:
    database = Database(postgres_url.set(database="no_such_database"))
    with pytest.raises(DatabaseUnavailable):
        await select_one(database)
    await database.close()


@pytest.mark.parametrize("query", ["FROM no_such_table", "no_such_column FROM pg_class"])
async def test_a_database_that_is_not_migrated_yet_is_unavailable(
    postgres_url: URL, query: str
) -> None:
    database = Database(postgres_url)
    with pytest.raises(DatabaseUnavailable):
        async with database.read() as session:
            await session.execute(text(f"SELECT {query}"))
    await database.close()


async def test_an_exhausted_pool_is_an_error_after_a_timeout(
    database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.engine.POOL_TIMEOUT", 0.05)
    database = Database(database_url)
    release = asyncio.Event()

    async def hold() -> None:
        async with database.read() as session:
            await session.execute(text("SELECT 1"))
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(CONNECTIONS)]
    while database._engine.pool.checkedout() < len(holders):  # type: ignore[attr-defined] # noqa: ASYNC110
        await asyncio.sleep(0.01)
    with pytest.raises(DatabaseUnavailable):
        await select_one(database)
    release.set()
    await asyncio.gather(*holders)
    assert await select_one(database) == 1
    await database.close()


async def test_a_statement_that_exceeds_its_deadline_is_an_outage(
    database_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.engine.COMMAND_TIMEOUT", 0.05)
    database = Database(database_url)
    with pytest.raises(DatabaseUnavailable):
        async with database.read() as session:
            await session.execute(text("SELECT pg_sleep(30)"))
    await database.close()


async def test_a_connection_that_the_server_closed_is_replaced_without_an_error(
    database: Database,
) -> None:
    async with database.read() as session:
        pid = (await session.execute(text("SELECT pg_backend_pid()"))).scalar()
        pooled = await (await session.connection()).get_raw_connection()
        closed = pooled.driver_connection
        assert closed
    async with database.read() as first, database.read() as second:
        pids = [
            (await s.execute(text("SELECT pg_backend_pid()"))).scalar() for s in (first, second)
        ]
        other = next(
            session for session, its in zip((first, second), pids, strict=True) if its != pid
        )
        await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await until(closed.is_closed)
    for _ in range(3):
        assert await select_one(database) == 1


async def test_a_connection_lost_in_a_transaction_is_an_outage(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_the_service_recovers_by_itself_when_the_database_returns(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres") as url:
        database = Database(url)
        assert await select_one(database) == 1
    with pytest.raises(DatabaseUnavailable):
        await select_one(database)
    with embedded_postgres(tmp_path / "postgres"):
        assert await select_one(database) == 1
        await database.close()


async def test_a_role_that_is_refused_is_an_outage(database_url: URL) -> None:
    database = Database(database_url.set(username="no_such_role"))
    with pytest.raises(DatabaseUnavailable):
        await select_one(database)
    await database.close()


async def test_a_standby_that_takes_no_writes_is_an_outage(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as session:
            await session.execute(text("SET TRANSACTION READ ONLY"))
            await session.execute(text("DELETE FROM images"))


OUTAGES = [
    "08006",  # connection failure
    "25006",  # read-only transaction
    "25P03",  # idle-in-transaction timeout
    "25P04",  # transaction timeout
    "26000",  # unknown prepared statement
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53100",  # disk full
    "53200",  # out of memory
    "53300",  # too many connections
    "53400",  # limit of the configuration
    "55006",  # object in use
    "55P03",  # lock not available
    "57014",  # query cancelled
    "57P01",  # shutdown by an administrator
    "57P02",  # crash of another server process
    "57P03",  # starting up
    "57P05",  # idle-session timeout
    "58000",  # error of the system
    "58030",  # error of the disk
]
REPLACED = {"08006", "25006", "26000", "57P01", "57P02", "57P03", "57P05"}
"""Those after which no earlier connection is used."""


@pytest.mark.parametrize("state", OUTAGES)
async def test_a_temporary_failure_of_the_server_is_an_outage(
    database: Database, state: str
) -> None:
    async def process() -> int:
        async with database.read() as session:
            pid: int = (await session.scalars(text("SELECT pg_backend_pid()"))).one()
            return pid

    before = await process()
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as session:
            await session.execute(text(f"DO $$BEGIN RAISE SQLSTATE '{state}'; END$$"))
    assert (await process() == before) == (state not in REPLACED)


@pytest.mark.parametrize("state", ["22012", "23505", "42601", "P0001", "XX000"])
async def test_a_defect_is_not_taken_for_an_outage(database: Database, state: str) -> None:
    with pytest.raises(DBAPIError):
        async with database.write() as session:
            await session.execute(text(f"DO $$BEGIN RAISE SQLSTATE '{state}'; END$$"))


async def test_a_deadlock_is_an_outage_for_one_of_the_two(database: Database) -> None:
    both_hold = asyncio.Barrier(2)

    async def take(first: int, second: int) -> None:
        async with database.write() as session:
            await session.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            await both_hold.wait()
            await session.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

    results = await asyncio.gather(take(1, 2), take(2, 1), return_exceptions=True)
    assert [type(result) for result in results if result] == [DatabaseUnavailable]


async def test_a_serialization_failure_is_an_outage(database: Database) -> None:
    async with database.write() as session:
        await session.execute(text("CREATE TABLE counters AS SELECT 1 AS value"))
    with pytest.raises(DatabaseUnavailable):
        async with database.write() as one, database.write() as other:
            for session in (one, other):
                await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                await session.execute(text("SELECT * FROM counters"))
            await one.execute(text("UPDATE counters SET value = 2"))
            await one.commit()
            await other.execute(text("UPDATE counters SET value = 3"))
    async with database.write() as session:
        await session.execute(text("DROP TABLE counters"))


async def test_a_plan_that_a_migration_invalidates_is_an_outage_once(
    database: Database, database_url: URL
) -> None:
    async def read() -> None:
        async with database.read() as session:
            await session.execute(text("SELECT * FROM changing"))

    await execute(database_url, "CREATE TABLE changing (x int)")
    await read()
    await execute(database_url, "ALTER TABLE changing ALTER x TYPE text")
    with pytest.raises(DatabaseUnavailable):
        await read()
    await read()
    await execute(database_url, "DROP TABLE changing")
