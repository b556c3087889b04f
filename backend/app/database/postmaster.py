"""The server process of the embedded PostgreSQL: started, found, waited for, and stopped."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from app.database.programs import EmbeddedDatabaseError, Programs, last_words
from app.observability.reasons import reason
from app.runtime import signals
from app.runtime.processes import outcome_of

if TYPE_CHECKING:
    import subprocess

START_SECONDS: Final = 120
"""How long a start may take: recovery after a crash replays what was not yet written."""
START_ATTEMPTS: Final = 5
WATCH_SECONDS: Final = 1
"""How long it may take until it is noticed that a server has ended by itself."""
MOST_PAUSE: Final = 30
"""Seconds until a server is started again that ended soon after each of its last starts."""
STOP_SECONDS: Final = 60
"""How long a stop may take before the server is stopped without writing what it has in memory."""
_POLL_SECONDS: Final = 0.05
_MOST_WORDS: Final = 8192
"""Bytes of the log that are searched for why a server has ended."""
_NO_PID: Final = 2**31 - 1

_log = logging.getLogger(__name__)


@contextmanager
def running(
    folder: Path, programs: Programs, socket_folder: Path, connections: int
) -> Iterator[None]:
    """Run the server until the end of the block; start it again whenever it ends before that.

    A signal that is pending ends the wait for it to become ready.

    Raises:
        EmbeddedDatabaseError: If it does not start; the sentence quotes the server's log.
    """
    log = folder / "log"
    options = (
        *("-h", "", "-k", str(socket_folder)),
        *("-c", f"max_connections={connections}", "-c", "lc_messages=C"),
    )
    server = _Server(folder, log, partial(programs.postgres, folder, log, *options))
    try:
        server.wait_until_ready()
        server.watch()
        yield
    finally:
        server.end()


class _Server:
    """The server over a folder, which is started at once.

    Args:
        folder: Where its data is.
        log: Where it says why it ends.
        start: Starts a process of it.
    """

    def __init__(
        self, folder: Path, log: Path, start: "Callable[[], subprocess.Popen[bytes]]"
    ) -> None:
        self._folder = folder
        self._log = log
        self._start = start
        self._is_ending = Event()
        self._watching = Thread(target=self._keep_up)
        self._start_process()

    def wait_until_ready(self) -> None:
        """Wait until it is ready or a signal is pending.

        Raises:
            EmbeddedDatabaseError: If it does not start.
        """
        for attempt in range(START_ATTEMPTS):
            if attempt:  # A start may fail while processes of a killed server are still ending.
                time.sleep(0.5)
                self._start_process()
            if _becomes_ready(self._process, self._folder):
                return
        raise EmbeddedDatabaseError(
            f"The embedded database in {self._folder} did not start. "
            f"PostgreSQL says: {self._last_words()}"
        )

    def watch(self) -> None:
        """Start it again, in a thread, whenever it has ended before `end`."""
        self._watching.start()

    def end(self) -> None:
        """Stop it, unless it has ended by itself."""
        with signals.held():
            self._is_ending.set()
            if self._watching.ident:
                self._watching.join()
            if self._process.poll() is None:
                _stop(self._process.pid)
                self._process.wait()

    def _keep_up(self) -> None:
        """One that ends soon after its start is started again after a pause, which doubles."""
        pause, failure = 0, ""
        while not self._is_ending.wait(WATCH_SECONDS):
            if not failure and self._process.poll() is None:
                continue
            lasted = time.monotonic() - self._started_at
            pause = 0 if lasted >= MOST_PAUSE else min(2 * pause + 1, MOST_PAUSE)
            outcome = failure or self._outcome()
            _log.error("the embedded PostgreSQL %s; the next start is in %s s", outcome, pause)
            if not self._is_ending.wait(pause):
                failure = self._start_again()

    def _start_again(self) -> str:
        """Return why it cannot be started, or nothing."""
        try:
            stop_leftover(self._folder)
            self._start_process()
        except OSError as error:
            return f"cannot be started: {reason(error)}"
        return ""

    def _outcome(self) -> str:
        status = self._process.wait()
        words = f" (PostgreSQL says: {self._last_words()})" if status >= 0 else ""
        return outcome_of(status) + words

    def _start_process(self) -> None:
        self._started_at = time.monotonic()
        self._log_begins = self._log.stat().st_size if self._log.exists() else 0
        self._process = self._start()

    def _last_words(self) -> str:
        """Return why it has ended, from the end of what it has written to the log."""
        try:
            with self._log.open("rb") as log:
                log.seek(max(self._log_begins, self._log.stat().st_size - _MOST_WORDS))
                return last_words(log.read().decode(errors="replace"))
        except OSError as error:
            return reason(error)


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
