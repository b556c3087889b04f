"""One run of the program that writes uploads to the disk."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import EPIPE
from socket import socketpair
from typing import Final

from app.runtime import signals
from app.runtime.processes import ends_within
from app.storage.local import writer_program
from app.storage.local.writer_program import Order, Outcome, named

PROGRAM: Final = writer_program.__file__
END_SECONDS: Final = 5.0
"""How long the process may take to end by itself before it is killed."""
KILL_SECONDS: Final = 1.0
"""How long a killed process may take to end before it counts as stuck in a system call."""
MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer; each of a batch's failures may name two paths of 4096."""

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class WriterProcess:
    """A process that carries out orders, one batch after the other."""

    _process: subprocess.Popen[bytes]
    _answers: asyncio.StreamReader
    _orders: asyncio.StreamWriter

    @classmethod
    async def start(cls, memory: int, threads: int) -> "WriterProcess":
        """Start the program over shared memory, named by its descriptor.

        Raises:
            OSError: If no process can be started.
        """
        encoding = f"-Xutf8={sys.flags.utf8_mode}"  # names of files must mean the same to both
        program = [sys.executable, "-I", "-S", encoding, PROGRAM]
        command = [*program, str(memory), str(threads)]
        with named("start of the process that writes uploads", sys.executable or "python"):
            ours, theirs = socketpair()
            with theirs, signals.held():  # a terminal's are for the service alone
                try:
                    process = subprocess.Popen(  # noqa: ASYNC220, S603 - at once; our own arguments
                        command, stdin=theirs.fileno(), pass_fds=[memory]
                    )
                except OSError:
                    ours.close()
                    raise
        return cls(process, *await asyncio.open_unix_connection(sock=ours, limit=MAX_ANSWER))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it exists no more."""
        return self._process.poll() is not None

    async def ask(self, orders: Sequence[Order | None]) -> list[Outcome]:
        """Have a batch of orders carried out; return their outcomes.

        Raises:
            BrokenPipeError: If the process has ended.
        """
        answer = b""
        with suppress(ConnectionError):
            self._orders.write(json.dumps(orders).encode() + b"\n")
            answer = await self._answers.readline()
        if not answer.endswith(b"\n"):
            await self.end()
            raise BrokenPipeError(EPIPE, "the process that writes uploads has ended")
        return [Outcome(*fields) for fields in json.loads(answer)]

    async def end(self) -> None:
        """Let it end, and log an exit status that is not 0."""
        self._orders.close()
        if not await ends_within(self._process, END_SECONDS):
            await self.killed()
        if status := self._process.poll():
            _log.error("the process that writes uploads has ended with status %s", status)

    async def killed(self) -> bool:
        """Kill it; return whether it ended within `KILL_SECONDS`.

        A system call that the disk keeps waiting is over first.
        """
        self._orders.close()
        self._process.kill()
        return await ends_within(self._process, KILL_SECONDS)
