"""Commands over a large or busy database: a statement of theirs may take longer than a client's."""

import argparse
import asyncio
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from select import select

import pytest
from sqlalchemy import text

from app.commands import backfill, fsck, fsck_options
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.domain.limits import UploadLimits
from app.imaging.dimensions import configure_pillow
from app.services.identity import StorageIdentity
from app.services.use_cases import Services
from app.statements.backfill import count_incomplete
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.live import TIMEOUT
from testkit.storages import OpenStorage
from testkit.uploads import execute, file

LIMITS = UploadLimits(max_upload_bytes=1_000_000, batch_max_files=1, uploads_per_hour_per_ip=0)
DEADLINE = 0.2
"""Seconds for a statement of the service, here."""
LOCKED = 0.6
"""Seconds for which a statement waits."""
SERVERS_DEADLINE = 0.5
"""Seconds for a statement of anybody: nearly as long, for those that open a connection and lift it
have it, too."""
LIMIT = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"


@pytest.fixture
async def storage(
    settings: Settings, database: Database, open_storage: OpenStorage
) -> LocalStorage:
    """Keep one image as it should be, and one without its file."""
    configure_pillow()
    storage = open_storage(settings.data_dir / "images")
    services = Services(database, storage, LIMITS)
    await services.uploads.upload(file(samples.jpeg()), None)
    await storage.delete((await services.uploads.upload(file(samples.jpeg()), None)).storage_key)
    return storage


@asynccontextmanager
async def statements_taking_longer_than_the_deadline(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Let each statement on the images wait for others that lock the table, again and again.

    The deadline is the service's; one that the database has for all its sessions is shorter, too.
    """
    monkeypatch.setattr("app.database.engine.COMMAND_TIMEOUT", DEADLINE)
    other = Database(settings.database_url.get_secret_value(), maintenance=True)
    await execute(other, LIMIT.format(f"SET statement_timeout = {1000 * SERVERS_DEADLINE:.0f}"))
    locked = asyncio.Event()

    async def lock() -> None:
        while True:
            async with other.write() as session:
                await session.execute(text("LOCK TABLE images IN ACCESS EXCLUSIVE MODE"))
                locked.set()
                await asyncio.sleep(LOCKED)

    locking = asyncio.create_task(lock())
    await locked.wait()
    try:
        yield
    finally:
        locking.cancel()
        with suppress(asyncio.CancelledError):
            await locking
        await execute(other, LIMIT.format("RESET statement_timeout"))
        await other.close()


async def test_a_statement_of_the_service_has_a_deadline(
    settings: Settings, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with statements_taking_longer_than_the_deadline(settings, monkeypatch):
        database = Database(settings.database_url.get_secret_value())
        async with asyncio.timeout(TIMEOUT):
            with pytest.raises(DatabaseUnavailable):
                async with database.read() as session:
                    while True:  # until one has the whole of a lock to wait for
                        await count_incomplete(session)
        await database.close()


async def test_no_statement_of_fsck_has_a_deadline(
    settings: Settings,
    storage: LocalStorage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parser = argparse.ArgumentParser()
    fsck_options.add_arguments(parser)
    options = parser.parse_args(["--repair", "--delete-broken-rows"])
    async with statements_taking_longer_than_the_deadline(settings, monkeypatch):
        status = await asyncio.to_thread(fsck.run, settings, options)
    output = capsys.readouterr()
    assert (status, output.err) == (fsck.EXIT_FINDINGS, "")
    assert output.out.endswith("2 images compared: 1 findings\n")


async def test_no_statement_of_the_backfill_has_a_deadline(
    settings: Settings,
    database: Database,
    storage: LocalStorage,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await execute(database, "UPDATE images SET width = NULL, height = NULL")
    settings = settings.model_copy(update={"thumbnail_sizes": ()})
    async with statements_taking_longer_than_the_deadline(settings, monkeypatch):
        assert await asyncio.to_thread(backfill.run, settings) == backfill.EXIT_DONE
    assert capsys.readouterr().out.endswith("2 images: 1 filled in, 1 without their file\n")


@asynccontextmanager
async def running_at_a_terminal(
    settings: Settings, command: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run a command; gives its process, and the descriptor from which to read what it shows."""
    shown, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", command),
        cwd=settings.data_dir,
        env={
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "DATA_DIR": str(settings.data_dir),
        },
        stdout=subprocess.DEVNULL,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        yield process, shown
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        os.close(shown)


@pytest.mark.parametrize("command", ["fsck", "backfill-dimensions"])
async def test_a_terminal_shows_for_how_long_images_are_counted(
    settings: Settings, database: Database, storage: LocalStorage, command: str
) -> None:
    await StorageIdentity(database, storage).establish()
    async with AsyncExitStack() as opened:
        async with database.write() as session:
            await session.execute(text("LOCK TABLE images IN ACCESS EXCLUSIVE MODE"))
            process, terminal = await opened.enter_async_context(
                running_at_a_terminal(settings, command)
            )
            shown = b""
            while len(set(re.findall(rb"Counting images, (\d\d:\d\d)", shown))) < 3:
                readable, _, _ = await asyncio.to_thread(select, [terminal], [], [], TIMEOUT)
                assert readable, shown
                shown += os.read(terminal, 1 << 16)
        async with asyncio.timeout(TIMEOUT):
            assert await process.wait() in {0, fsck.EXIT_FINDINGS}
