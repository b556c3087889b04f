"""The embedded PostgreSQL: a real server, run over a folder for as long as the service runs.

The wheel brings the programs; this module owns the rest: one service a folder, starts that take
long, files left by a crash, and that the server stops with its service.
"""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sqlalchemy.engine import URL

from app.database.programs import PORT, EmbeddedDatabaseError, Programs, last_words, open_way_to
from app.observability.reasons import reason
from app.runtime import signals

if TYPE_CHECKING:
    import subprocess

__all__ = ["EmbeddedDatabaseError", "EmbeddedDatabaseInUse", "embedded_postgres", "shared_postgres"]

CONNECTIONS: Final = 100
"""Most connections to the server, unless told otherwise."""
START_SECONDS: Final = 120
"""How long a start may take: recovery after a crash replays what was not yet written."""
START_ATTEMPTS: Final = 5
STOP_SECONDS: Final = 60
"""How long a stop may take before the server is stopped without writing what it has in memory."""
MAX_SOCKET_PATH: Final = 103
"""Bytes; the smallest limit of the systems that the wheel exists for (macOS)."""
_POLL_SECONDS: Final = 0.05
_NO_PID: Final = 2**31 - 1


class EmbeddedDatabaseInUse(EmbeddedDatabaseError):
    """Another service runs the database in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Another service uses the embedded database in {folder}: stop it, set another "
            "DATA_DIR, or let both use one PostgreSQL with DATABASE_URL."
        )


@contextmanager
def embedded_postgres(folder: Path, connections: int = CONNECTIONS) -> Iterator[URL]:
    """Run a PostgreSQL over `folder`, made if need be, and yield its address.

    It listens on a Unix socket only. One that a killed service left running is replaced. A signal
    that comes while it starts takes effect as soon as nothing is left half made by it.

    Raises:
        EmbeddedDatabaseInUse: If another service uses the folder.
        EmbeddedDatabaseError: If the server does not start.
    """
    folder = folder.resolve()
    with ExitStack() as opened:
        with _os_errors_told(folder):
            with signals.held():
                folder.parent.mkdir(parents=True, exist_ok=True)
                opened.enter_context(_owned(folder))
                programs = Programs()
                _initialize(folder, programs)
            with signals.held():
                if _is_running(folder):
                    _stop(_pid_file(folder)[0])
                socket_folder = opened.enter_context(_socket_folder(folder, programs))
                opened.enter_context(_running(folder, programs, socket_folder, connections))
        yield _address(socket_folder)


def has_database(folder: Path) -> bool:
    """Return whether there is a database in a folder, started or not."""
    try:
        return (folder / "PG_VERSION").exists()
    except PermissionError:  # of whoever has made it
        return True


@contextmanager
def shared_postgres(folder: Path) -> Iterator[URL]:
    """Use the PostgreSQL of the service that runs over `folder`; run it oneself if none does.

    Raises:
        EmbeddedDatabaseError: If there is no database, or it cannot be reached.
    """
    folder = folder.resolve()
    with ExitStack() as opened:
        with _os_errors_told(folder):
            if not has_database(folder):
                raise EmbeddedDatabaseError(f"There is no embedded database in {folder}.")
            try:
                url = opened.enter_context(embedded_postgres(folder))
            except EmbeddedDatabaseInUse:
                if not _is_running(folder):
                    raise
                url = _address(_wait_until_ready(folder))
        yield url


@contextmanager
def _os_errors_told(folder: Path) -> Iterator[None]:
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


def _initialize(folder: Path, programs: Programs) -> None:
    """Make a new database cluster, in one step: one half made by a killed start is never used."""
    if programs.uid != os.geteuid():
        open_way_to(folder)
    if has_database(folder):
        programs.require_ownership(folder)
        return
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(mode=0o700)
        programs.give(fresh)
        programs.initdb(fresh)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _running(
    folder: Path, programs: Programs, socket_folder: Path, connections: int
) -> Iterator[None]:
    """Run the server until the end of the block.

    Raises:
        EmbeddedDatabaseError: If it does not start, with its own words.
    """
    log = folder / "log"
    options = (
        *("-h", "", "-k", str(socket_folder)),
        *("-c", f"max_connections={connections}", "-c", "lc_messages=C"),
    )
    with ExitStack() as opened:
        for attempt in range(1, START_ATTEMPTS + 1):
            begin = log.stat().st_size if log.exists() else 0
            server = programs.postgres(folder, log, *options)
            opened.callback(_end, server)
            if _becomes_ready(server, folder):
                break
            # A start may fail while processes of a killed server are still about to end.
            if attempt == START_ATTEMPTS:
                with log.open(errors="replace") as lines:
                    lines.seek(begin)
                    words = last_words(lines.read())
                raise EmbeddedDatabaseError(
                    f"The embedded database in {folder} did not start. PostgreSQL says: {words}"
                )
            time.sleep(0.5)
        yield


def _becomes_ready(server: "subprocess.Popen[bytes]", folder: Path) -> bool:
    """Wait until the server can be used, unless a signal comes; return whether it still runs."""
    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None:
        pid, state, _ = _pid_file(folder)
        if (pid == server.pid and state == "ready") or signals.are_pending():
            return True
        if time.monotonic() > deadline:
            raise EmbeddedDatabaseError(
                f"The embedded database in {folder} has not started within {START_SECONDS} "
                f"seconds; {folder / 'log'} says what it is doing."
            )
        time.sleep(_POLL_SECONDS)
    return False


def _wait_until_ready(folder: Path) -> Path:
    """Wait for the server of another process; return the folder of its socket."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        _, state, socket_folder = _pid_file(folder)
        if state == "ready":
            return socket_folder
        time.sleep(_POLL_SECONDS)
    raise EmbeddedDatabaseError(f"The embedded database in {folder} is still starting.")


def _pid_file(folder: Path) -> tuple[int, str, Path]:
    """Read `postmaster.pid`: the server's pid, its state, and the folder of its socket.

    Of its eight lines PostgreSQL writes the first five before the others.
    """
    try:
        text = _read(folder / "postmaster.pid")
        lines = [*text.splitlines(), *[""] * 8]
        return int(lines[0]), lines[7].strip(), Path(lines[4])
    except (FileNotFoundError, ValueError):
        return 0, "", Path()


def _read(file: Path) -> str:
    """Read a text with a path in it, of whatever bytes."""
    return os.fsdecode(file.read_bytes())


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End our own server, if it has not ended by itself."""
    with signals.held():
        if server.poll() is None:
            _stop(server.pid)
            server.wait()


def _stop(pid: int) -> None:
    """Stop a server: its connections end, and what it has in memory is written.

    One that does not is killed in the end, as one that SIGSTOP has stopped. What was committed is
    in its log, and its processes end when they find it gone.
    """
    import psutil  # noqa: PLC0415 - comes with the wheel

    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process = psutil.Process(pid)
            process.send_signal(number)
            process.wait(STOP_SECONDS)
            return


def _is_running(folder: Path) -> bool:
    """Return whether the pid file names a living PostgreSQL of this folder, in which it works.

    PostgreSQL takes whatever has that pid for itself: after a reboot another program, or the
    server of another folder, in a container a dead process that nobody collected. Then the pid
    is replaced by one that no process has. The rest of the file stays, for PostgreSQL finds by it
    whether processes of the dead server still use the data.
    """
    import psutil  # noqa: PLC0415 - comes with the wheel

    file = folder / "postmaster.pid"
    try:
        pid, rest = _read(file).split("\n", 1)
        process = psutil.Process(int(pid))
        if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == folder:
            return True
        file.write_bytes(os.fsencode(f"{_NO_PID}\n{rest}"))
    except (FileNotFoundError, ValueError, psutil.Error):
        pass
    return False


@contextmanager
def _socket_folder(folder: Path, programs: Programs) -> Iterator[Path]:
    """Choose where the socket lies: with the data, if its path is short enough, and text.

    Else in a folder that only the server's user may enter, for the socket needs no password.
    """
    path = folder / f".s.PGSQL.{PORT}"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH and _is_text(path):
        yield folder
        return
    with TemporaryDirectory(prefix="image-host-", ignore_cleanup_errors=True) as private:
        programs.give(Path(private))
        yield Path(private)


def _is_text(path: Path) -> bool:
    """Return whether a path can stand in a URL: all of it is in the encoding of the locale."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True
