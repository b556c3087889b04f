"""The supervisor's handle on a process, what the two send each other, and their deadlines."""

import os
import pickle
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from app.runtime import signals
from app.runtime.processes import outcome_of
from app.server.process_kinds import ProcessKind

BEAT: Final = b"."
"""Sent by a process when it serves, and every BEAT_SECONDS from then on."""
BEAT_SECONDS: Final = 5
"""Between two beats."""
FAILED: Final = b"!"
"""Sent by a process before the reason why it ends."""
DRAIN_SECONDS: Final = 30
"""How long requests and jobs in progress may take to finish when a process stops."""
END_SECONDS: Final = DRAIN_SECONDS + 14
"""How long processes may take to stop before they are killed.

Longer than a process needs whose every deadline passes: requests, rows, the writer of uploads.
"""
COLLECT_SECONDS: Final = 5.0
"""Between the end of a process's channel and that of the process."""


class ProcessHandle(subprocess.Popen[bytes]):
    """A process. Its end of the channel closes when it ends, and ours when we do.

    Args:
        kind: How it is started.
        number: Which of its kind it is, from 0 on.
        settings: Sent to it first.
        environment: Of it, beside ours.
    """

    def __init__(
        self, kind: ProcessKind, number: int, settings: bytes, environment: Mapping[str, str]
    ) -> None:
        self.kind = kind
        self.number = number
        self.channel, theirs = socket.socketpair()
        descriptors = [one.fileno() for one in (*kind.sockets, theirs)]
        with theirs, signals.held():  # until it can handle them
            super().__init__(
                [*kind.command, *map(str, descriptors)],
                pass_fds=descriptors,
                env={**os.environ, **environment},
            )
        with suppress(ConnectionError):  # of one that has ended already
            self.channel.sendall(settings + pickle.dumps(self.place))
        self.channel.settimeout(0)
        self._received = b""
        self.missed_beats = 0
        """In a row."""
        self.since: float | None = None
        """When it began to serve."""
        self.hangs = False
        """Whether it was killed because it did not answer."""

    @property
    def place(self) -> str:
        """Its name among the processes of a service, which another has when it has ended."""
        return f"{self.kind.role}-{self.number}"

    @property
    def reason(self) -> str:
        """Why it ended, if it has sent a reason."""
        return self._received.partition(FAILED)[2].decode(errors="replace")

    @property
    def was_killed(self) -> bool:
        """Whether a signal has ended it."""
        return self.returncode < 0

    @property
    def end(self) -> str:
        """How it has ended, of `processes.ENDS`."""
        return "hung" if self.hangs else "killed" if self.was_killed else "ended"

    def seconds_served(self) -> float:
        """Return for how many seconds it has served."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    def receive(self) -> bool:
        """Receive what it has sent; return False if it has ended."""
        try:
            received = self.channel.recv(4096)
        except ConnectionError:
            received = b""
        if received:
            self.missed_beats = 0
        if received.startswith(BEAT) and self.since is None:
            self.since = time.monotonic()
        self._received = (self._received + received)[-4096:]
        return bool(received)

    def collect(self) -> str:
        """Wait for it to end; return how it ended."""
        self.channel.close()
        try:
            status = self.wait(COLLECT_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed the channel and yet not ended
            self.kill()
            status = self.wait()
        return f"{self.kind.name} {self.pid} {outcome_of(status)}"
