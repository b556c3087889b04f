"""Migrations: from an empty database, from the legacy schema, down, and up again."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from app.database.engine import Database
from app.database.migration import (
    _ADVISORY_LOCK,
    LOCK_SECONDS,
    _lock,
    alembic_config,
    migrate,
)
from app.database.revisions import (
    FIRST,
    HEAD,
    SchemaError,
    require_head,
)
from app.domain.limits import UploadLimits
from app.imaging.formats import ImageType
from app.models import Base
from app.services.use_cases import Services
from app.storage.local.backend import LocalStorage
from testkit.databases import execute
from testkit.live import TIMEOUT, until
from testkit.schema import (
    LEAN_IMAGES,
    copy_lean_files,
    dump,
    lean_file,
    lean_schema,
    load_lean,
    migrate_further,
)
from testkit.uploads import read

BACKEND = Path(__file__).parents[2]
LIMITS = UploadLimits(max_upload_bytes=1_000_000, batch_max_files=20, uploads_per_hour_per_ip=0)
NEXT = f"{int(HEAD) + 1:04}"
AFTER_NEXT = f"{int(HEAD) + 2:04}"
SEVEN = "id, filename, storage_key, content_type, file_size, upload_ip, created_at"


@pytest.fixture
async def empty(postgres_url: URL) -> AsyncIterator[URL]:
    """Create an empty database."""
    name = f"migrated_{secrets.token_hex(6)}"
    await execute(postgres_url, f"CREATE DATABASE {name}")
    yield postgres_url.set(database=name)
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def lean(empty: URL) -> URL:
    """Create the database of the last version without migrations, with its rows."""
    await load_lean(empty)
    return empty


async def migrated(url: URL, target: str | None = None) -> list[str]:
    """Migrate; return the lines that it reports."""
    lines: list[str] = []
    await migrate(Database(url), lines.append, target)
    return lines


async def query(url: URL, statement: str) -> list[tuple[object, ...]]:
    async with Database(url).maintain() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def rows_as_legacy_code_reads_them(url: URL) -> list[tuple[object, ...]]:
    return await query(url, f"SELECT {SEVEN} FROM images ORDER BY created_at, id")  # noqa: S608


async def insert(url: URL, content_type: str) -> None:
    """Insert a row, as earlier versions do."""
    await execute(
        url,
        f"INSERT INTO images ({SEVEN}) SELECT gen_random_uuid(), 'a', "
        f"gen_random_uuid()::text, '{content_type}', 1, NULL, now()",
    )


async def assert_at_head(url: URL) -> None:
    database = Database(url)
    try:
        await require_head(database)
    finally:
        await database.close()


async def test_an_empty_database_gets_the_whole_schema(empty: URL) -> None:
    assert await migrated(empty) == [f"Migrating the database from nothing to {HEAD}"]
    await assert_at_head(empty)
    assert await migrated(empty) == []


async def test_the_first_revision_is_exactly_the_legacy_schema(empty: URL) -> None:
    await migrated(empty, FIRST)
    assert dump(empty) == lean_schema()


async def test_the_models_are_what_the_last_revision_makes(empty: URL, postgres_url: URL) -> None:
    await migrated(empty)
    async with Database(empty).maintain() as connection:
        await connection.run_sync(lambda sync: command.check(alembic_config(sync)))
    made_by_revisions = dump(empty)

    # Alembic compares neither checks nor the direction of an index; pg_dump shows everything.
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    await execute(empty, f"DROP TABLE {tables}")
    async with Database(empty).maintain() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.commit()
    made_by_models = dump(empty)
    assert made_by_revisions == made_by_models
    assert "NOT VALID" not in made_by_revisions


async def test_the_ids_of_revisions_ascend_to_the_one_that_this_code_needs(empty: URL) -> None:
    async with Database(empty).maintain() as connection:
        scripts = await connection.run_sync(
            lambda sync: ScriptDirectory.from_config(alembic_config(sync))
        )
    revisions = [script.revision for script in scripts.walk_revisions("base", "head")]
    assert revisions[0] == HEAD
    assert revisions[-1] == FIRST
    assert revisions == sorted(revisions, reverse=True)


async def test_a_legacy_database_is_upgraded_without_loss(lean: URL, tmp_path: Path) -> None:
    copy_lean_files(tmp_path)
    before = await rows_as_legacy_code_reads_them(lean)
    assert len(before) == len(LEAN_IMAGES)
    assert await migrated(lean) == [
        f"The schema is the legacy one, from before there were revisions: that is {FIRST}",
        f"Migrating the database from {FIRST} to {HEAD}",
    ]
    assert await rows_as_legacy_code_reads_them(lean) == before

    database = Database(lean)
    services = Services(database, LocalStorage(tmp_path / "images"), LIMITS)
    images = (await services.images.page(100, None)).items
    assert {str(image.id): image.filename for image in images} == LEAN_IMAGES
    for image in images:
        assert (image.width, image.height) == (None, None)
        assert await read(services, image) == lean_file(str(image.id))
    await database.close()


async def test_a_downgrade_and_upgrade_lose_only_what_backfill_restores(
    lean: URL,
) -> None:
    before = await rows_as_legacy_code_reads_them(lean)
    await migrated(lean)
    await execute(lean, "UPDATE images SET width = 40, height = 30")
    at_head = dump(lean)
    assert await migrated(lean, FIRST) == [f"Migrating the database from {HEAD} to {FIRST}"]
    assert await rows_as_legacy_code_reads_them(lean) == before
    assert "width" not in dump(lean)
    await migrated(lean)
    assert await rows_as_legacy_code_reads_them(lean) == before
    assert await query(lean, "SELECT DISTINCT width, height FROM images") == [(None, None)]
    assert dump(lean) == at_head


async def test_legacy_code_works_on_while_its_database_is_migrated(lean: URL) -> None:
    """It reads and writes seven columns all the while, in a transaction each."""
    over = asyncio.Event()
    database = Database(lean)

    async def work() -> int:
        written = 0
        while not over.is_set():
            async with database.write() as session:
                await session.execute(
                    text(
                        f"INSERT INTO images ({SEVEN}) SELECT gen_random_uuid(), 'a.jpg', "
                        "gen_random_uuid()::text, 'image/jpeg', 1, NULL, now()"
                    )
                )
            async with database.read() as session:
                count = await session.scalar(text("SELECT count(*) FROM images"))
            written += 1
            assert count is not None
            assert count >= written + len(LEAN_IMAGES)
        return written

    working = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(3):
        await migrated(lean)
        await migrated(lean, FIRST)
    await migrated(lean)
    over.set()
    written = sum(await asyncio.gather(*working))
    assert written > 0
    assert len(await rows_as_legacy_code_reads_them(lean)) == written + len(LEAN_IMAGES)
    await database.close()


async def test_a_migration_that_was_interrupted_is_completed_by_the_next(lean: URL) -> None:
    await migrated(lean, FIRST)
    for step in (
        "ADD COLUMN width INTEGER",
        "ADD COLUMN height INTEGER",
        "ADD CONSTRAINT ck_images_width_positive CHECK (width > 0) NOT VALID",
    ):
        await execute(lean, f"ALTER TABLE images {step}")
    await migrated(lean)
    await assert_at_head(lean)
    assert "NOT VALID" not in dump(lean)


async def test_new_types_are_accepted_though_the_migration_to_them_was_interrupted(
    lean: URL,
) -> None:
    """Between its two transactions, at the moment when nothing but the revision is missing."""
    await migrated(lean, "0005")
    with pytest.raises(IntegrityError):
        await insert(lean, "image/webp")
    await execute(
        lean,
        "ALTER TABLE images ADD COLUMN metadata JSONB, "
        "DROP CONSTRAINT ck_images_content_type_accepted, "
        "ADD CONSTRAINT ck_images_content_type_accepted "
        "CHECK (content_type IN ('image/jpeg', 'image/png')) NOT VALID",
    )
    await migrated(lean)
    assert "NOT VALID" not in dump(lean)
    for image_type in ImageType:
        await insert(lean, image_type)
    for refused in ("image/svg+xml", "image/tiff", "image/heif", "video/mp4", ""):
        with pytest.raises(IntegrityError):
            await insert(lean, refused)


@pytest.mark.parametrize("earlier", ["0005", FIRST])
async def test_a_downgrade_keeps_images_of_types_that_earlier_versions_do_not_accept(
    lean: URL, earlier: str
) -> None:
    await migrated(lean)
    at_head = dump(lean)
    for image_type in ImageType:
        await insert(lean, image_type)
    stored = await rows_as_legacy_code_reads_them(lean)
    await migrated(lean, earlier)
    assert await rows_as_legacy_code_reads_them(lean) == stored
    await insert(lean, "image/png")
    with pytest.raises(IntegrityError):
        await insert(lean, "image/gif")
    await execute(lean, "DELETE FROM images WHERE content_type = 'image/gif'")
    await migrated(lean)
    assert dump(lean) == at_head
    assert len(await rows_as_legacy_code_reads_them(lean)) == len(stored)


async def test_a_migration_waits_for_a_locked_table_without_blocking_readers(
    lean: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.migration.PAUSE_SECONDS", 0.05)
    async with Database(lean).maintain() as backup:
        await backup.execute(text("SELECT FROM images"))
        lines: list[str] = []
        migrating = asyncio.create_task(migrate(Database(lean), lines.append))
        async with asyncio.timeout(TIMEOUT):
            while lines[-1:] != ["Waiting for a transaction that locks the tables"]:
                assert len(await rows_as_legacy_code_reads_them(lean)) == len(LEAN_IMAGES)
                assert not migrating.done()
    await migrating
    await assert_at_head(lean)


async def test_a_table_locked_for_too_long_fails_the_migration_and_nothing_is_changed(
    lean: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.migration.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("app.database.migration.ATTEMPTS", 2)
    async with Database(lean).maintain() as backup:
        await backup.execute(text("SELECT FROM images"))
        with pytest.raises(SchemaError, match="Try again when it has ended"):
            await migrated(lean)
    assert dump(lean).startswith("CREATE TABLE public.images")
    assert "width" not in dump(lean)
    await migrated(lean)
    await assert_at_head(lean)


async def test_another_table_of_the_name_is_left_alone(empty: URL) -> None:
    await execute(empty, "CREATE TABLE images (id integer)")
    with pytest.raises(SchemaError, match="no version of this service made"):
        await migrated(empty)
    assert dump(empty) == "CREATE TABLE public.images (\n    id integer\n);\n"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE images DROP CONSTRAINT uq_images_storage_key",
        'ALTER TABLE images ALTER storage_key TYPE varchar(64) COLLATE "default"',
        "ALTER TABLE images ALTER filename DROP NOT NULL",
        "ALTER TABLE images ADD owner text",
        "DROP INDEX ix_images_created_at_id",
        "ALTER TABLE images ALTER created_at DROP DEFAULT",
        "ALTER TABLE images ALTER file_size SET DEFAULT 1",
    ],
)
async def test_a_table_that_somebody_changed_is_not_taken_for_ours(lean: URL, change: str) -> None:
    await execute(lean, change)
    with pytest.raises(SchemaError, match="nothing was changed"):
        await migrated(lean)


async def test_a_migration_waits_for_longer_than_it_takes_to_cancel_an_autovacuum(
    lean: URL,
) -> None:
    """PostgreSQL cancels it for whoever has waited for its deadlock_timeout."""
    query_of_it = "SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout'"
    ((milliseconds,),) = await query(lean, query_of_it)
    assert isinstance(milliseconds, int)
    assert milliseconds < LOCK_SECONDS * 1000


async def test_an_index_of_the_name_over_other_columns_is_not_taken_for_ours(lean: URL) -> None:
    await execute(lean, "DROP INDEX ix_images_created_at_id")
    await execute(lean, "CREATE INDEX ix_images_created_at_id ON images (created_at, id)")
    with pytest.raises(SchemaError, match="nothing was changed"):
        await migrated(lean)


async def test_an_index_that_an_operator_added_is_no_hindrance(lean: URL) -> None:
    await execute(lean, "CREATE INDEX mine ON images (filename)")
    await migrated(lean)
    await assert_at_head(lean)


async def test_a_schema_that_is_older_or_newer_is_refused_with_what_to_do(lean: URL) -> None:
    database = Database(lean)
    with pytest.raises(
        SchemaError, match=r"not been migrated, .*needs [0-9]{4}: run `make migrate`"
    ):
        await require_head(database)
    await migrated(lean, FIRST)
    with pytest.raises(SchemaError, match="is at 0001"):
        await require_head(database)
    await migrated(lean)
    await migrate_further(lean, "9999", compatible_from="9998")
    with pytest.raises(SchemaError, match="is at 9999"):
        await require_head(database)
    with pytest.raises(SchemaError, match=f"make migrate ARGS='--to {HEAD}'"):
        await migrated(lean)
    await database.close()


async def test_code_works_with_a_later_schema_that_is_compatible(lean: URL) -> None:
    """As in a rolling upgrade, where an earlier version is started again beside the later one."""
    await migrated(lean)
    await migrate_further(lean, "9999", compatible_from=HEAD)
    await assert_at_head(lean)
    assert await migrated(lean) == [
        f"A later version has migrated the database to 9999, which this one ({HEAD}) works with"
    ]
    assert await query(lean, "SELECT version_num FROM alembic_version") == [("9999",)]
    with pytest.raises(SchemaError, match="is at 9999"):
        await migrated(lean, HEAD)  # it has no such downgrade


@pytest.fixture
def two_further_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add two revisions: a compatible one, and one that earlier code does not work with."""
    scripts = tmp_path / "alembic"
    shutil.copytree(BACKEND / "alembic", scripts)
    for revision, down_revision, compatible_from in (
        (NEXT, HEAD, "0002"),
        (AFTER_NEXT, NEXT, NEXT),
    ):
        (scripts / "versions" / f"{revision}_later.py").write_text(
            f"revision, down_revision = {revision!r}, {down_revision!r}\n"
            f"compatible_from = {compatible_from!r}\n"
            "def upgrade(): pass\n"
            "def downgrade(): pass\n"
        )
    monkeypatch.setattr("app.database.migration._SCRIPTS", scripts)


@pytest.mark.usefixtures("two_further_revisions")
async def test_compatible_from_is_written_by_each_upgrade_and_downgrade(
    lean: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become(version: str) -> None:
        monkeypatch.setattr("app.database.revisions.HEAD", version)

    async def starts(version: str) -> bool:
        become(version)
        try:
            await assert_at_head(lean)
        except SchemaError as error:
            return "knows none after" not in str(error)
        return True

    become(NEXT)
    await migrated(lean)
    assert await starts(HEAD)
    become(AFTER_NEXT)
    await migrated(lean)
    assert not await starts(HEAD)
    with pytest.raises(SchemaError, match=f"is at {AFTER_NEXT}"):
        await migrated(lean)
    assert await starts(NEXT)
    become(AFTER_NEXT)
    await migrated(lean, NEXT)
    assert await starts(HEAD)
    become(AFTER_NEXT)
    await migrated(lean, HEAD)
    assert await query(lean, "SELECT compatible_from FROM installation") == [("0009",)]


async def test_each_revision_declares_compatible_from_and_it_never_falls(empty: URL) -> None:
    async with Database(empty).maintain() as connection:
        scripts = await connection.run_sync(
            lambda sync: ScriptDirectory.from_config(alembic_config(sync))
        )
    declared = [script.module.compatible_from for script in scripts.walk_revisions("base", "head")]
    assert declared == sorted(declared, reverse=True)
    assert all(re.fullmatch("[0-9]{4}", revision) for revision in declared)


async def test_a_database_that_something_else_migrates_is_left_alone(empty: URL) -> None:
    await execute(empty, "CREATE TABLE alembic_version (version_num varchar(32))")
    await execute(empty, "INSERT INTO alembic_version VALUES ('5f3a9c0d1e2b')")
    database = Database(empty)
    with pytest.raises(SchemaError, match="'5f3a9c0d1e2b' that no version of this service"):
        await require_head(database)
    with pytest.raises(SchemaError, match="nothing was changed"):
        await migrated(empty)
    assert "TABLE" not in dump(empty)
    await database.close()


async def test_a_process_that_waits_for_the_migration_lock_blocks_no_concurrent_index(
    lean: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CREATE INDEX CONCURRENTLY waits for the end of every transaction that is open."""
    monkeypatch.setattr("app.database.migration.PAUSE_SECONDS", 0.05)
    async with Database(lean).maintain() as other:
        await other.execution_options(isolation_level="AUTOCOMMIT")
        await other.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})"))
        lines: list[str] = []
        waiting = asyncio.create_task(migrate(Database(lean), lines.append))
        await until(lambda: lines == ["Waiting for another process that is migrating"])
        async with asyncio.timeout(TIMEOUT):
            await other.execute(text("CREATE INDEX CONCURRENTLY mine ON images (filename)"))
        assert not waiting.done()
    await waiting
    await assert_at_head(lean)


async def test_the_migration_lock_blocks_no_concurrent_index(lean: URL) -> None:
    """Nor where transactions of this database keep what they saw first."""
    name = lean.database
    await execute(lean, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with _lock(Database(lean), print), Database(lean).maintain() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        async with asyncio.timeout(TIMEOUT):
            await connection.execute(text("CREATE INDEX CONCURRENTLY mine ON images (filename)"))


async def test_a_migration_ends_when_the_connection_that_holds_its_lock_is_lost(lean: URL) -> None:
    """Else another process would get the lock, and migrate beside it."""
    async with Database(lean).maintain() as backup:
        await backup.execute(text("SELECT FROM images"))
        migrating = asyncio.create_task(migrated(lean))
        terminate = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database "
            "WHERE locktype = 'advisory' AND datname = current_database() AND EXISTS "
            "(SELECT FROM pg_locks AS waiting WHERE NOT granted AND waiting.database = oid)"
        )
        async with asyncio.timeout(TIMEOUT):
            while not await query(lean, terminate):  # noqa: ASYNC110 - nothing sets an event
                await asyncio.sleep(0.01)
            with pytest.raises(SchemaError, match="lock of migrations was lost: run it again"):
                await migrating
    assert "width" not in dump(lean)


async def test_timeouts_of_the_server_end_neither_a_migration_nor_its_lock(lean: URL) -> None:
    settings = ("statement_timeout", "idle_in_transaction_session_timeout")
    # By one connection, and nearly as long as the sleep: others are opened under them.
    changes = [f"ALTER DATABASE {lean.database} SET {name} = '400ms'" for name in settings]
    await execute(lean, *changes)
    async with _lock(Database(lean), print), Database(lean).maintain() as connection:
        await connection.execute(text("SELECT pg_sleep(0.5)"))
        another = text(f"SELECT pg_try_advisory_xact_lock({_ADVISORY_LOCK})")
        assert not await connection.scalar(another)


async def test_a_statement_timeout_of_the_server_ends_no_step_of_a_migration(lean: URL) -> None:
    """Nor a step in a transaction of its own, such as one that reads all rows."""
    await execute(
        lean,
        "CREATE FUNCTION slow() RETURNS event_trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_sleep(1); END'",
    )
    await execute(
        lean,
        "CREATE EVENT TRIGGER slow ON ddl_command_start WHEN TAG IN ('ALTER TABLE') "
        "EXECUTE FUNCTION slow()",
    )
    await execute(lean, f"ALTER DATABASE {lean.database} SET statement_timeout = '900ms'")
    await migrated(lean)
    await assert_at_head(lean)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_keep_every_file_name_is_refused(
    postgres_url: URL, encoding: str
) -> None:
    name = f"encoded_{secrets.token_hex(6)}"
    await execute(
        postgres_url,
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    url = postgres_url.set(database=name)
    database = Database(url)
    for act in (migrated(url), require_head(database)):
        with pytest.raises(SchemaError, match="ENCODING 'UTF8' TEMPLATE template0") as refused:
            await act
        assert encoding in str(refused.value)
        assert "\n" not in str(refused.value)
    assert dump(url) == "\n"
    await database.close()
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("target", ["0000", "00015", "9999", "base", "-1", ""])
async def test_a_revision_that_does_not_exist_is_refused(lean: URL, target: str) -> None:
    await migrated(lean)
    before = dump(lean)
    with pytest.raises(SchemaError, match="There is no revision"):
        await migrated(lean, target)
    assert dump(lean) == before


def start(url: URL) -> subprocess.Popen[str]:
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "app", "migrate"],
        cwd=BACKEND,
        env=os.environ | {"DATABASE_URL": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_waits(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline() == "Waiting for another process that is migrating\n"


async def test_a_migration_that_is_interrupted_says_so(lean: URL) -> None:
    async with Database(lean).maintain() as connection:
        await connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})"))
        process = start(lean)
        try:
            assert_waits(process)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
    assert output == "Stopped by SIGINT; run the command again to go on.\n"
    assert process.returncode == 130


def test_processes_that_migrate_at_once_do_so_one_after_the_other(lean: URL) -> None:
    """All wait for a lock that is taken, and then for one another."""
    with asyncio.Runner() as runner:
        holder = Database(lean).maintain()
        connection = runner.run(holder.__aenter__())
        runner.run(connection.execute(text(f"SELECT pg_advisory_lock({_ADVISORY_LOCK})")))
        processes = [start(lean) for _ in range(3)]
        try:
            for process in processes:
                assert_waits(process)
            runner.run(holder.__aexit__(None, None, None))
            outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert [process.returncode for process in processes] == [0, 0, 0], outputs
        runner.run(assert_at_head(lean))
    for output in outputs:
        assert output.endswith(f"The schema of the database is at {HEAD}.\n")
    assert sum("Migrating the database" in output for output in outputs) == 1


def test_a_service_does_not_import_alembic() -> None:
    code = "import app.commands.serve, sys; print('alembic' in sys.modules)"
    found = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BACKEND
    )
    assert found.stdout == "False\n"
