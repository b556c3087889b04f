"""Several processes that serve at one listener: started, watched, replaced and ended (ADR 30)."""

import logging
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, cast

from app.runtime import signals
from app.server.listener import refuse_newcomers
from app.server.server import BEAT_SECONDS, DRAIN_SECONDS

BEAT: Final = b"."
"""What a worker says when it can be reached, and every BEAT_SECONDS from then on."""
FAILED: Final = b"!"
"""What a worker says before the reason why it ends."""
MOST_MISSED: Final = 6
"""Beats. A worker that misses more is killed: it hangs."""
STABLE_SECONDS: Final = 1.0
"""A worker that ends sooner after it could be reached has failed to start."""
MOST_FAILURES: Final = 5
"""Workers in a row that fail to start, before the service is given up."""
END_SECONDS: Final = DRAIN_SECONDS + 8
"""How long workers may take to end before they are killed."""
KILL_SECONDS: Final = 0.1
"""Between two attempts to kill workers after that, which the disk may keep from ending."""
COLLECT_SECONDS: Final = 5.0
"""Between the end of a worker's channel and its own."""

_log = logging.getLogger(__name__)


class CannotServe(Exception):
    """The service cannot be started, or not be kept up; the sentence says why."""


class Supervisor:
    """Runs workers until a signal ends the service.

    Args:
        command: Starts a worker; the descriptors of the listener and of its channel are added.
        order: What a worker is sent first.
        listener: Where connections arrive; closed at the end.
        count: How many workers.
        on_serving: Called once, when all of them can be reached.
    """

    def __init__(
        self,
        command: Sequence[str],
        order: bytes,
        listener: socket.socket,
        count: int,
        on_serving: Callable[[], None],
    ) -> None:
        self._command = command
        self._order = order
        self._listener = listener
        self._count = count
        self._on_serving = on_serving
        self._is_announced = False
        self._failures = 0
        self._signals: list[int] = []
        self._workers: dict[socket.socket, _Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._next_beat = 0.0

    def run(self) -> None:
        """Serve until a signal comes, and return when all that reached the service is answered.

        Raises:
            CannotServe: If a worker cannot start, or one after the other ends at once.
            Interrupted: If the signal comes before all workers could be reached.
        """
        for end in (self._woken, self._waker):
            end.settimeout(0)
        with self._woken, self._waker, self._selector:
            self._selector.register(self._woken, selectors.EVENT_READ)
            signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
            signals.handle(self._remember, *signals.ENDING)
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

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _start(self) -> "_Worker":
        worker = _Worker(self._command, self._order, self._listener)
        self._workers[worker.channel] = worker
        self._selector.register(worker.channel, selectors.EVENT_READ)
        return worker

    def _watch(self, seconds: float) -> None:
        """Wait for a signal or a word of the workers, and replace those that have ended."""
        for channel in self._readable(seconds):
            worker = self._workers[channel]
            if not worker.hear():
                self._replace(worker)
            elif not self._is_announced and all(w.since for w in self._workers.values()):
                self._is_announced = True
                self._on_serving()
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            self._kill_silent()

    def _readable(self, seconds: float) -> list[socket.socket]:
        ready = [cast("socket.socket", key.fileobj) for key, _ in self._selector.select(seconds)]
        if self._woken in ready:
            self._woken.recv(1024)
            ready.remove(self._woken)
        return ready

    def _replace(self, worker: "_Worker") -> None:
        """Start another in the place of one that has ended."""
        outcome = self._remove(worker)
        if worker.has_served_for(STABLE_SECONDS):
            self._failures = 0
        else:
            self._failures += 1
            if not self._is_announced and not worker.was_killed:
                raise CannotServe(worker.reason or outcome)
            if self._failures == MOST_FAILURES:
                raise CannotServe(
                    f"{MOST_FAILURES} workers in a row ended as soon as they were started; of the "
                    f"last: {worker.reason or outcome}"
                )
        _log.error("%s; worker %s takes its place", outcome, self._start().pid)

    def _kill_silent(self) -> None:
        """Kill who has missed too many beats.

        Counted, not measured by a clock: after Ctrl-Z all have been silent alike.
        """
        for worker in self._workers.values():
            if worker.missed_beats() > MOST_MISSED:
                _log.error("worker %s hangs and is killed", worker.pid)
                worker.send(signal.SIGKILL)

    def _end(self) -> None:
        """Let the workers finish; the deadline, or a second Ctrl-C, ends them at once."""
        refuse_newcomers(self._listener)
        for worker in self._workers.values():
            worker.send(signal.SIGTERM)
        self._listener.close()
        deadline = time.monotonic() + END_SECONDS
        while self._workers:
            for channel in self._readable(max(KILL_SECONDS, deadline - time.monotonic())):
                if not self._workers[channel].hear():
                    self._remove(self._workers[channel])
            if time.monotonic() >= deadline or self._signals.count(signal.SIGINT) > 1:
                for worker in self._workers.values():
                    worker.send(signal.SIGKILL)

    def _remove(self, worker: "_Worker") -> str:
        self._selector.unregister(worker.channel)
        del self._workers[worker.channel]
        return worker.collect()


class _Worker:
    """One process. Its end of the channel closes when it ends, and ours when we do."""

    def __init__(self, command: Sequence[str], order: bytes, listener: socket.socket) -> None:
        self.channel, theirs = socket.socketpair()
        descriptors = (listener.fileno(), theirs.fileno())
        with theirs, signals.held():  # until it can handle them
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [*command, *map(str, descriptors)], pass_fds=descriptors
            )
        with suppress(ConnectionError):  # of one that has ended already
            self.channel.sendall(order)
        self.channel.settimeout(0)
        self._said = b""
        self._missed = 0
        self.since: float | None = None
        """When it could first be reached."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def reason(self) -> str:
        """Why it ended, in its own words, if it had any."""
        return self._said.partition(FAILED)[2].decode(errors="replace")

    @property
    def was_killed(self) -> bool:
        return self._process.returncode < 0

    def has_served_for(self, seconds: float) -> bool:
        return self.since is not None and time.monotonic() - self.since >= seconds

    def hear(self) -> bool:
        """Take what it says; return False if it has ended."""
        try:
            said = self.channel.recv(4096)
        except ConnectionError:
            said = b""
        self._missed = 0
        if said.startswith(BEAT) and self.since is None:
            self.since = time.monotonic()
        self._said = (self._said + said)[-4096:]
        return bool(said)

    def missed_beats(self) -> int:
        """Count one more beat as missed, unless it is still starting; return how many in a row."""
        self._missed += self.since is not None
        return self._missed

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def collect(self) -> str:
        """Wait for the process; return how it ended."""
        self.channel.close()
        try:
            status = self._process.wait(COLLECT_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed the channel and yet not ended
            self._process.kill()
            status = self._process.wait()
        if status >= 0:
            return f"worker {self.pid} has ended with status {status}"
        name = signal.Signals(-status).name
        hint = " (kill -9, or the system is short of memory)" if name == "SIGKILL" else ""
        return f"worker {self.pid} was killed by {name}{hint}"
