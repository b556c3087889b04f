"""The processes of a service: started, watched, replaced and stopped (ADR 30, ADR 39)."""

import logging
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, cast

from app.observability.metrics.folder import VARIABLE
from app.observability.metrics.processes import ProcessRecord
from app.server.listener import refuse_new_connections
from app.server.process_handle import BEAT_SECONDS, END_SECONDS, ProcessHandle
from app.server.process_kinds import ProcessKind

MOST_MISSED: Final = 6
"""Beats. A process that misses more hangs, and is killed."""
MOST_MISSED_AT_START: Final = 24
"""The same before a process serves: one may take long to load on a busy machine."""
KILL_SECONDS: Final = 0.1
"""Between two attempts to kill processes after END_SECONDS, which a hanging disk may delay."""

_log = logging.getLogger(__name__)


class _Start(NamedTuple):
    """A process to be started."""

    due: float
    kind: ProcessKind
    number: int
    ended: str
    """How the one has ended whose place it takes; empty if that is in the log."""


class Supervisor:
    """Runs processes until it is stopped.

    Args:
        settings: Sent to each process first, as bytes.
        kinds: Which processes.
        metrics: The folder where they keep their metrics, if they do.
    """

    def __init__(
        self, settings: bytes, kinds: Sequence[ProcessKind], metrics: Path | None = None
    ) -> None:
        self._settings = settings
        self._kinds = kinds
        self._record = ProcessRecord(metrics)
        self._environment = {VARIABLE: str(metrics)} if metrics else {}
        self._starts = [
            _Start(0, kind, number, "") for kind in kinds for number in range(kind.count)
        ]
        self._processes: dict[socket.socket, ProcessHandle] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self.waker = socket.socketpair()
        """A byte in it ends a wait."""
        for end in (self._woken, self.waker):
            end.settimeout(0)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._is_stopped = False
        self._is_forced = False
        self._next_beat = 0.0

    def run(self) -> None:
        """Return when all processes have ended, after `stop`.

        Raises:
            CannotServe: If a kind of processes cannot be kept up.
        """
        with self._woken, self.waker, self._selector:
            try:
                while not self._is_stopped:
                    self._start_due()
                    self._watch()
            finally:
                self._end()

    def stop(self, *, at_once: bool = False) -> None:
        """Let the processes finish what they do, or kill them; for any thread, any number of times.

        Args:
            at_once: Kill them.
        """
        self._is_stopped = True
        self._is_forced |= at_once
        with suppress(OSError):  # enough bytes are in it, or all processes have ended
            self.waker.send(b".")

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [start for start in self._starts if start.due <= now]
        self._starts = [start for start in self._starts if start.due > now]
        for _, kind, number, ended in due:
            try:
                process = ProcessHandle(kind, number, self._settings, self._environment)
            except OSError as error:
                reason = f"{type(error).__name__}: {error}"
                pause = kind.pause_after(0, reason, was_killed=False)
                self._schedule(kind, number, f"a {kind.name} cannot be started: {reason}", pause)
                continue
            self._processes[process.channel] = process
            self._selector.register(process.channel, selectors.EVENT_READ)
            self._record.started(process.place, kind.role, process.pid)
            if ended:
                _log.error("%s; %s %s takes its place", ended, kind.name, process.pid)

    def _schedule(self, kind: ProcessKind, number: int, ended: str, pause: int) -> None:
        if pause:
            _log.error("%s; another takes its place in %s s", ended, pause)
        due = time.monotonic() + pause
        self._starts.append(_Start(due, kind, number, "" if pause else ended))

    def _watch(self) -> None:
        """Wait for a message of a process, or until something is due."""
        due = min((start.due for start in self._starts), default=float("inf"))
        for channel in self._readable(min(BEAT_SECONDS, max(0.0, due - time.monotonic()))):
            process = self._processes[channel]
            has_served = process.since is not None
            if not process.receive():
                self._replace(process)
            elif process.since is not None and not has_served:
                self._record.serves(process.place)
                process.kind.observe(self._count_serving(process.kind))
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            self._kill_hanging()

    def _count_serving(self, kind: ProcessKind) -> int:
        return sum(one.kind is kind and one.since is not None for one in self._processes.values())

    def _readable(self, seconds: float) -> list[socket.socket]:
        ready = [cast("socket.socket", key.fileobj) for key, _ in self._selector.select(seconds)]
        if self._woken in ready:
            self._woken.recv(1024)
            ready.remove(self._woken)
        return ready

    def _replace(self, process: ProcessHandle) -> None:
        """Let another process take the place of one that has ended."""
        seconds = process.seconds_served()
        outcome = self._remove(process)
        pause = process.kind.pause_after(
            seconds, process.reason or outcome, was_killed=process.was_killed
        )
        ended = f"{outcome}: {process.reason}" if process.reason else outcome
        self._schedule(process.kind, process.number, ended, pause)

    def _kill_hanging(self) -> None:
        """Kill each process that has missed too many beats, and log that once.

        Beats are counted, not measured by a clock: after Ctrl-Z all processes have been silent.
        """
        for process in self._processes.values():
            most = MOST_MISSED_AT_START if process.since is None else MOST_MISSED
            process.missed_beats += 1
            if process.missed_beats > most:
                process.hangs = True
                process.kill()
            if process.missed_beats == most + 1:
                _log.error("%s %s hangs and is killed", process.kind.name, process.pid)

    def _end(self) -> None:
        """Let the processes finish; the deadline, or `stop(at_once=True)`, kills them."""
        listeners = [listener for kind in self._kinds for listener in kind.sockets]
        for listener in listeners:
            refuse_new_connections(listener)
        for process in self._processes.values():
            process.terminate()
        for listener in listeners:
            listener.close()
        deadline = time.monotonic() + END_SECONDS
        while self._processes:
            for channel in self._readable(max(KILL_SECONDS, deadline - time.monotonic())):
                process = self._processes[channel]
                if not process.receive():
                    outcome = self._remove(process)
                    if process.was_killed and not self._is_forced:
                        _log.error("%s while the service stopped", outcome)
            if self._is_forced or time.monotonic() >= deadline:
                for process in self._processes.values():
                    process.kill()

    def _remove(self, process: ProcessHandle) -> str:
        self._selector.unregister(process.channel)
        del self._processes[process.channel]
        outcome = process.collect()
        self._record.ended(process.place, process.end)
        return outcome
