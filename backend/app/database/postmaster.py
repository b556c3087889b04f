"""The server process of the embedded PostgreSQL: started, found, waited for, and stopped."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.database.programs import EmbeddedDatabaseError, Programs, last_words
from app.runtime import signals

if TYPE_CHECKING:
    import subprocess

START_SECONDS: Final = 120
"""How long a start may take: recovery after a crash replays what was not yet written."""
START_ATTEMPTS: Final = 5
STOP_SECONDS: Final = 60
"""How long a stop may take before the server is stopped without writing what it has in memory."""
_POLL_SECONDS: Final = 0.05
_NO_PID: Final = 2**31 - 1


@contextmanager
def running(
    folder: Path, programs: Programs, socket_folder: Path, connections: int
) -> Iterator[None]:
    """Run the server until the end of the block.

    A signal that is pending ends the wait for it to become ready.

    Raises:
        EmbeddedDatabaseError: If it does not start; the sentence quotes the server's log.
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
            # A start may fail while processes of a killed server are still ending.
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
    """Wait until the server is ready or a signal is pending; return whether it still runs."""
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


def wait_until_ready(folder: Path) -> Path:
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
    """Read a text that holds a path, which may be of any bytes."""
    return os.fsdecode(file.read_bytes())


def stop_leftover(folder: Path) -> None:
    """Stop the server that a killed service has left running over a folder, if there is one."""
    if is_running(folder):
        _stop(_pid_file(folder)[0])


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Stop a server of ours, unless it has ended by itself."""
    with signals.held():
        if server.poll() is None:
            _stop(server.pid)
            server.wait()


def _stop(pid: int) -> None:
    """Stop a server: its connections end, and what it has in memory is written.

    One that does not stop, such as one that SIGSTOP holds, is killed. What was committed is in its
    write-ahead log, and its processes end when they find it gone.
    """
    import psutil  # noqa: PLC0415 - comes with the wheel

    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
            process = psutil.Process(pid)
            process.send_signal(number)
            process.wait(STOP_SECONDS)
            return


def is_running(folder: Path) -> bool:
    """Return whether the pid file names a living PostgreSQL whose working directory is the folder.

    A start mistakes any process with that pid for a server: after a reboot another program, or the
    server of another folder, in a container a zombie. Such a pid is replaced by one that no process
    has. The rest of the file stays: by it PostgreSQL finds whether processes of the dead server
    still use the data.
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
