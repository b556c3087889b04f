"""What commands record of themselves, for whoever asks how the service is."""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.commands import fsck, fsck_options, record_backup
from app.config.settings import Settings
from app.database.engine import Database
from app.observability.figures import Maintenance
from app.services.identity import StorageIdentity
from app.statements.installation import read_maintenance, write_fsck
from app.storage.local.backend import LocalStorage
from testkit.uploads import add, execute, row

NEVER = Maintenance(None, None, None)


@pytest.fixture
async def storage(settings: Settings, database: Database) -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(settings.data_dir / "images")
    await StorageIdentity(database, storage).establish()
    await storage.prepare()
    yield storage
    await storage.close()


async def recorded(database: Database) -> Maintenance:
    async with database.read() as session:
        return await read_maintenance(session)


async def check(settings: Settings, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    fsck_options.add_arguments(parser)
    return await asyncio.to_thread(fsck.run, settings, parser.parse_args(arguments))


def leave_file(settings: Settings, name: str) -> Path:
    """Leave a file that no row names, and that is a day old."""
    file = settings.data_dir / "images/00" / name
    file.write_bytes(b"12345")
    os.utime(file, (time.time() - 100_000,) * 2)
    return file


@pytest.mark.usefixtures("storage")
async def test_fsck_records_its_end_and_what_is_left_of_its_findings(
    settings: Settings, database: Database
) -> None:
    await add(database, row())
    leave_file(settings, "0" * 32 + ".jpg")
    leave_file(settings, "0" * 32 + "-150-653a.webp")
    assert await recorded(database) == NEVER
    assert await check(settings, "--checksums") == fsck.EXIT_FINDINGS
    first = await recorded(database)
    assert first.fsck_at
    assert first.fsck_findings == 2, "a stale thumbnail is none"

    assert await check(settings, "--checksums", "--repair") == fsck.EXIT_FINDINGS
    second = await recorded(database)
    assert second.fsck_at
    assert second.fsck_at > first.fsck_at
    assert second.fsck_findings == 1, "the row without a file is left"

    remove = ("--checksums", "--repair", "--delete-broken-rows", "--expect", "1")
    assert await check(settings, *remove) == fsck.EXIT_FINDINGS
    assert await check(settings, "--checksums") == fsck.EXIT_CLEAN
    assert (await recorded(database)).fsck_findings == 0


@pytest.mark.usefixtures("storage")
async def test_a_check_that_reads_no_file_hides_nothing_that_another_one_found(
    settings: Settings, database: Database
) -> None:
    async with database.write() as session:
        await write_fsck(session, 3)  # corrupt files, say, which only `--checksums` sees
    thorough = await recorded(database)
    assert await check(settings) == fsck.EXIT_CLEAN
    assert await recorded(database) == thorough
    for number in range(4):
        leave_file(settings, f"{number:032}.jpg")
    assert await check(settings) == fsck.EXIT_FINDINGS
    assert await recorded(database) == thorough._replace(fsck_findings=4)


@pytest.mark.usefixtures("storage")
async def test_a_check_of_a_part_or_that_fails_is_not_recorded(
    settings: Settings, database: Database
) -> None:
    assert await check(settings, "--after", "0" * 32 + ".jpg") == fsck.EXIT_CLEAN
    settings.data_dir.rename(settings.data_dir.with_name("elsewhere"))
    assert await check(settings) == fsck.EXIT_NOT_CHECKED
    assert await recorded(database) == NEVER


@pytest.mark.usefixtures("storage")
async def test_what_cannot_be_recorded_is_checked_all_the_same(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    name = database_name(settings)
    await execute(database, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        assert await check(settings) == fsck.EXIT_CLEAN
    finally:
        await execute(
            database,
            "SET TRANSACTION READ WRITE",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )
    output = capsys.readouterr()
    assert output.out.endswith("0 images compared: no findings\n")
    assert output.err.startswith("Not recorded: ")


async def test_a_backup_is_recorded_by_its_command(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await asyncio.to_thread(record_backup.run, settings) == record_backup.EXIT_RECORDED
    assert capsys.readouterr().out == "The backup is recorded\n"
    maintenance = await recorded(database)
    assert maintenance.backup_at
    assert maintenance.fsck_at is None

    unreachable = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://127.0.0.1:1/nothing")}
    )
    assert await asyncio.to_thread(record_backup.run, unreachable) == 1
    assert capsys.readouterr().err.startswith("Not recorded: The database is not available")


def database_name(settings: Settings) -> str:
    return settings.database_url.get_secret_value().rsplit("/", 1)[1].split("?")[0]
