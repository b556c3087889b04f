"""The kinds of processes that a supervisor runs, and what follows when one of them ends."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

STABLE_SECONDS: Final = 1.0
"""A server process that has served for less than this has failed to start."""
MOST_FAILURES: Final = 5
"""Server processes in a row that fail to start, before the service gives up."""
MOST_PAUSE: Final = 30
"""Seconds, the longest until another worker takes the place of one that has failed."""


class CannotServe(Exception):
    """The service cannot be started, or not be kept up; the sentence says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The service cannot be kept up: {reason}")


class ProcessKind(ABC):
    """Processes of one kind.

    Args:
        command: Starts one; the descriptors of the sockets and of its channel are appended.
        count: How many there are.
        on_serving: Called once, when all of them serve.
    """

    name: str
    """What the log calls one."""
    role: str
    """What one does, in a word."""

    def __init__(
        self, command: Sequence[str], count: int, on_serving: Callable[[], None] = lambda: None
    ) -> None:
        self.command = command
        self.count = count
        self.have_served = False
        """Whether all of them have served at the same time."""
        self._on_serving = on_serving
        self.sockets: Sequence[socket.socket] = ()
        """Passed to each process; closed at the end."""
        self._failures = 0
        """In a row."""

    def observe(self, serving: int) -> None:
        """Record how many of them serve."""
        if serving == self.count and not self.have_served:
            self.have_served = True
            self._on_serving()

    @abstractmethod
    def pause_after(self, seconds: float, reason: str, *, was_killed: bool) -> int:
        """Return the seconds until another process takes the place of one that has ended.

        Args:
            seconds: How long it has served.
            reason: Why it has ended.
            was_killed: Whether by a signal.
        """


class ServerProcesses(ProcessKind):
    """They answer clients at one listener. Each that ends is replaced at once.

    Args:
        command: As of every kind.
        count: As of every kind.
        listener: Where connections arrive.
        on_serving: As of every kind.
    """

    name = "server process"
    role = "service"

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        listener: socket.socket,
        on_serving: Callable[[], None],
    ) -> None:
        super().__init__(command, count, on_serving)
        self.sockets = (listener,)

    def pause_after(self, seconds: float, reason: str, *, was_killed: bool) -> int:
        """Return 0.

        Raises:
            CannotServe: If a process cannot start, or one after the other ends at once.
        """
        if seconds >= STABLE_SECONDS:
            self._failures = 0
            return 0
        self._failures += 1
        if not (self.have_served or was_killed):
            raise CannotServe(reason)
        if self._failures == MOST_FAILURES:
            raise CannotServe(
                f"{MOST_FAILURES} server processes in a row ended as soon as they were started;"
                f" of the last: {reason}"
            )
        return 0


class Workers(ProcessKind):
    """They do jobs. While there is none, jobs wait, and the service goes on."""

    name = "worker"
    role = "worker"

    def pause_after(self, seconds: float, _reason: str, *, was_killed: bool) -> int:  # noqa: ARG002
        """Return 0 after one that has worked for long, else twice as many seconds each time."""
        if seconds >= MOST_PAUSE:
            self._failures = 0
            return 0
        self._failures += 1
        return min(1 << (self._failures - 1), MOST_PAUSE)


class MetricsProcess(Workers):
    """It answers for all: what they do, and how the service is. Without it, they go on."""

    name = "metrics process"
    role = "metrics"

    def __init__(self, command: Sequence[str], listener: socket.socket) -> None:
        super().__init__(command, 1)
        self.sockets = (listener,)
