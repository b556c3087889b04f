"""The embedded PostgreSQL: a real server, run over a folder for as long as the service runs.

The wheel brings the programs (`programs`), and `postmaster` runs the server. This module sees to it
that one service at a time owns a folder, and that a cluster and a socket are there.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy.engine import URL

from app.database import postmaster
from app.database.programs import PORT, EmbeddedDatabaseError, Programs, open_way_to
from app.observability.reasons import reason
from app.runtime import signals

__all__ = ["EmbeddedDatabaseError", "EmbeddedDatabaseInUse", "embedded_postgres", "shared_postgres"]

CONNECTIONS: Final = 100
"""Most connections to the server by default."""
MAX_SOCKET_PATH: Final = 103
"""Bytes; the smallest limit of the systems that the wheel exists for (macOS)."""


class EmbeddedDatabaseInUse(EmbeddedDatabaseError):
    """Another service runs the database in this folder."""


@contextmanager
def embedded_postgres(folder: Path, connections: int = CONNECTIONS) -> Iterator[URL]:
    """Run a PostgreSQL over `folder`, which is initialised if need be, and yield its address.

    It listens on a Unix socket only. One that a killed service left running is replaced. A signal
    that arrives while it starts takes effect when no step is unfinished.

    Raises:
        EmbeddedDatabaseInUse: If another service uses the folder.
        EmbeddedDatabaseError: If the server does not start.
    """
    folder = folder.resolve()
    with ExitStack() as opened:
        with _os_errors_explained(folder):
            with signals.held():
                folder.parent.mkdir(parents=True, exist_ok=True)
                opened.enter_context(_owned(folder))
                programs = Programs()
                _initialize(folder, programs)
            with signals.held():
                postmaster.stop_leftover(folder)
                socket_folder = opened.enter_context(_socket_folder(folder, programs))
                opened.enter_context(
                    postmaster.running(folder, programs, socket_folder, connections)
                )
        yield _address(socket_folder)


def has_database(folder: Path) -> bool:
    """Return whether there is a database in a folder, started or not."""
    try:
        return (folder / "PG_VERSION").exists()
    except PermissionError:  # of whoever has made it
        return True


@contextmanager
def shared_postgres(folder: Path) -> Iterator[URL]:
    """Use the PostgreSQL of the service that runs over `folder`; run one if no service does.

    Raises:
        EmbeddedDatabaseError: If there is no database, or it cannot be reached.
    """
    folder = folder.resolve()
    with ExitStack() as opened:
        with _os_errors_explained(folder):
            if not has_database(folder):
                raise EmbeddedDatabaseError(f"There is no embedded database in {folder}.")
            try:
                url = opened.enter_context(embedded_postgres(folder))
            except EmbeddedDatabaseInUse:
                if not postmaster.is_running(folder):
                    raise
                url = _address(postmaster.wait_until_ready(folder))
        yield url


@contextmanager
def _os_errors_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedDatabaseError(
            f"The embedded database cannot use {folder}: {reason(error)}."
        ) from error


def _address(socket_folder: Path) -> URL:
    return URL.create(
        "postgresql+asyncpg",
        username="postgres",
        database="postgres",
        query={"host": str(socket_folder), "port": str(PORT)},
    )


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system releases however the process ends."""
    file = folder.with_name(f"{folder.name}.lock")
    with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, mode=0o600)) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedDatabaseInUse(
                f"Another service uses the embedded database in {folder}: stop it, set another "
                "DATA_DIR, or let both use one PostgreSQL with DATABASE_URL."
            ) from error
        yield


def _initialize(folder: Path, programs: Programs) -> None:
    """Make a new database cluster in one step: what a killed start left unfinished is not used."""
    if programs.uid != os.geteuid():
        open_way_to(folder)
    if has_database(folder):
        programs.require_ownership(folder)
        return
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        programs.chown(fresh)
        programs.initdb(fresh)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _socket_folder(folder: Path, programs: Programs) -> Iterator[Path]:
    """Yield the folder for the socket: that of the data, if its path fits there, and in a URL.

    Else a temporary one that only the server's user may enter, for the socket needs no password.
    """
    path = str(folder / f".s.PGSQL.{PORT}")
    # Bytes that are no text in the locale's encoding are not printable.
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH and path.isprintable():
        yield folder
        return
    with TemporaryDirectory(prefix="image-host-", ignore_cleanup_errors=True) as private:
        programs.chown(Path(private))
        yield Path(private)
