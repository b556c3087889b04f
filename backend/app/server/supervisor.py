"""Several server processes at one listener: started, watched, replaced and stopped (ADR 30)."""

import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, cast

from app.runtime import signals
from app.server.http_server import BEAT_SECONDS, DRAIN_SECONDS
from app.server.listener import refuse_new_connections
from app.server.process_handle import ProcessHandle

MOST_MISSED: Final = 6
"""Beats. A process that misses more hangs, and is killed."""
MOST_MISSED_AT_START: Final = 24
"""The same before a process serves: one may take long to load on a busy machine."""
STABLE_SECONDS: Final = 1.0
"""A process that has served for less than this has failed to start."""
MOST_FAILURES: Final = 5
"""Processes in a row that fail to start, before the service gives up."""
END_SECONDS: Final = DRAIN_SECONDS + 14
"""How long processes may take to stop before they are killed.

Longer than a process needs whose every deadline passes: requests, rows, the writer of uploads.
"""
KILL_SECONDS: Final = 0.1
"""Between two attempts to kill processes after that, which a hanging disk may delay."""

_log = logging.getLogger(__name__)


class CannotServe(Exception):
    """The service cannot be started, or not be kept up; the sentence says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The service cannot be kept up: {reason}")


class Supervisor:
    """Runs server processes until a signal stops the service.

    Args:
        command: Starts a process; the descriptors of the listener and of its channel are appended.
        settings: Sent to each process first, as bytes.
        listener: Where connections arrive; closed at the end.
        count: How many processes.
        on_serving: Called once, when all of them serve.
    """

    def __init__(
        self,
        command: Sequence[str],
        settings: bytes,
        listener: socket.socket,
        count: int,
        on_serving: Callable[[], None],
    ) -> None:
        self._command = command
        self._settings = settings
        self._listener = listener
        self._count = count
        self._on_serving = on_serving
        self._is_announced = False
        self._failures = 0
        self._signals: list[int] = []
        self._processes: dict[socket.socket, ProcessHandle] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._next_beat = 0.0

    def run(self) -> None:
        """Serve until a signal arrives, and return when every request is answered.

        Raises:
            CannotServe: If a process cannot start, or one after the other ends at once.
            Interrupted: If the signal arrives before all processes serve.
        """
        for end in (self._woken, self._waker):
            end.settimeout(0)
        with self._woken, self._waker, self._selector:
            self._selector.register(self._woken, selectors.EVENT_READ)
            signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            signals.handle(lambda number, _: self._signals.append(number), *signals.ENDING)
            try:
                for _ in range(self._count):
                    self._start()
                while not self._signals:
                    self._watch(BEAT_SECONDS)
            finally:
                self._end()
                signal.set_wakeup_fd(-1)
        if not self._is_announced:
            raise signals.Interrupted(self._signals[0])

    def _start(self) -> ProcessHandle:
        process = ProcessHandle(self._command, self._settings, self._listener)
        self._processes[process.channel] = process
        self._selector.register(process.channel, selectors.EVENT_READ)
        return process

    def _watch(self, seconds: float) -> None:
        """Wait for a signal or a message of a process, and replace those that have ended."""
        for channel in self._readable(seconds):
            process = self._processes[channel]
            if not process.receive():
                self._replace(process)
            elif not self._is_announced and all(p.since for p in self._processes.values()):
                self._is_announced = True
                self._on_serving()
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            self._kill_hanging()

    def _readable(self, seconds: float) -> list[socket.socket]:
        ready = [cast("socket.socket", key.fileobj) for key, _ in self._selector.select(seconds)]
        if self._woken in ready:
            self._woken.recv(1024)
            ready.remove(self._woken)
        return ready

    def _replace(self, process: ProcessHandle) -> None:
        """Start another process in the place of one that has ended."""
        outcome = self._remove(process)
        if process.has_served_for(STABLE_SECONDS):
            self._failures = 0
        else:
            self._failures += 1
            if not self._is_announced and not process.was_killed:
                raise CannotServe(process.reason or outcome)
            if self._failures == MOST_FAILURES:
                raise CannotServe(
                    f"{MOST_FAILURES} server processes in a row ended as soon as they were started;"
                    f" of the last: {process.reason or outcome}"
                )
        _log.error("%s; server process %s takes its place", outcome, self._start().pid)

    def _kill_hanging(self) -> None:
        """Kill each process that has missed too many beats, and log that once.

        Beats are counted, not measured by a clock: after Ctrl-Z all processes have been silent.
        """
        for process in self._processes.values():
            most = MOST_MISSED_AT_START if process.since is None else MOST_MISSED
            process.missed_beats += 1
            if process.missed_beats > most:
                process.kill()
            if process.missed_beats == most + 1:
                _log.error("server process %s hangs and is killed", process.pid)

    def _end(self) -> None:
        """Let the processes finish; the deadline, or a second Ctrl-C, kills them."""
        refuse_new_connections(self._listener)
        for process in self._processes.values():
            process.terminate()
        self._listener.close()
        deadline = time.monotonic() + END_SECONDS
        while self._processes:
            for channel in self._readable(max(KILL_SECONDS, deadline - time.monotonic())):
                if not self._processes[channel].receive():
                    self._remove(self._processes[channel])
            if time.monotonic() >= deadline or self._signals.count(signal.SIGINT) > 1:
                for process in self._processes.values():
                    process.kill()

    def _remove(self, process: ProcessHandle) -> str:
        self._selector.unregister(process.channel)
        del self._processes[process.channel]
        return process.collect()
