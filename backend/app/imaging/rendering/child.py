"""A process that renders images, as its parent sees it."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import app
from app.domain.metadata import Metadata
from app.imaging.rendering.protocol import (
    EXTRACT,
    RENDER,
    KilledFromOutside,
    RenderingFailed,
    RenderLimits,
    TakesTooLong,
    parse,
    parse_metadata,
)
from app.runtime import signals
from app.runtime.processes import ends_within

MODULE: Final = "app.imaging.rendering.program"
START_SECONDS: Final = 30.0
"""How long the process may take to start."""
END_SECONDS: Final = 10.0
"""How long a process that has closed its socket may take to end by itself.

It ends in processor time that nobody else wants, of which a busy machine has little.
"""
KILL_SECONDS: Final = 10.0
"""How long a killed process may take to end before it counts as stuck in a system call."""
TOO_LONG: Final = "Rendering it takes more processor time than RENDER_TIMEOUT_SECONDS allows."

_ENVIRONMENT: Final = {
    "PATH": os.defpath,
    "PYTHONPATH": str(Path(app.__file__).parents[1]),
    "VIPS_CONCURRENCY": "1",  # threads
    "VIPS_WARNING": "0",  # none, for they quote the image
    "MALLOC_ARENA_MAX": "1",
}
"""All of it: no secret of the service is in a process that decodes what clients send."""

_log = logging.getLogger(__name__)


class Rendition(NamedTuple):
    """An image rendered in each size."""

    width: int
    height: int
    """Pixels of the original, as a viewer shows it."""
    thumbnails: dict[int, bytes]
    """WebP, by the longest side."""
    placeholder: bytes
    """ThumbHash."""


@dataclass(eq=False, slots=True)
class Child:
    """A process that renders one image after the other."""

    _sizes: Sequence[int]
    _process: subprocess.Popen[bytes]
    _socket: socket.socket
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, limits: RenderLimits, sizes: Sequence[int]) -> "Child":
        """Start a process. Call it in the main thread, with whose end the process ends.

        Raises:
            OSError: If none can be started.
            RenderingFailed: If it does not get ready.
        """
        command = [sys.executable, "-P", "-s", "-m", MODULE, *map(str, (*limits, *sizes))]
        ours, theirs = socket.socketpair()
        with theirs, signals.held():  # a terminal's are for the service alone
            try:
                process = subprocess.Popen(  # noqa: ASYNC220, S603 - at once; our own arguments
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=_ENVIRONMENT
                )
            except OSError:
                ours.close()
                raise
        child = cls(sizes, process, ours, *await asyncio.open_unix_connection(sock=ours))
        try:
            async with asyncio.timeout(START_SECONDS):
                await child._line()
        except BaseException as error:
            await child.kill()
            if isinstance(error, (TimeoutError, OSError, EOFError)):
                raise RenderingFailed("The process that renders does not start.") from error
            raise
        return child

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    async def render(self, descriptor: int) -> Rendition:
        """Render the image of an open file. Unless that succeeds, the process is of no more use.

        Raises:
            Unrenderable: If it cannot be rendered; TakesTooLong for its processor time.
            RenderingFailed: If the process has ended, or its answer is not understood.
        """
        async with self._asked(RENDER, descriptor):
            answer = parse(await self._line(), self._sizes)
            thumbnails = [await self._reader.readexactly(length) for length in answer.lengths]
        return Rendition(
            answer.width,
            answer.height,
            dict(zip(self._sizes, thumbnails, strict=True)),
            bytes.fromhex(answer.placeholder),
        )

    async def extract(self, descriptor: int) -> Metadata:
        """Extract the metadata of an open file, none if it has none.

        Raises:
            Unrenderable, RenderingFailed: As `render`.
        """
        async with self._asked(EXTRACT, descriptor):
            return parse_metadata(await self._line())

    async def kill(self) -> None:
        """Kill the process; one in a system call that a disk blocks ends only after the call."""
        self._writer.close()
        self._process.kill()
        if not await ends_within(self._process, KILL_SECONDS):
            _log.error("the process that renders (pid %s) was killed and does not end", self.pid)

    @asynccontextmanager
    async def _asked(self, request: bytes, descriptor: int) -> AsyncIterator[None]:
        """Send a request, whose answer is read in the block."""
        try:
            socket.send_fds(self._socket, [request], [descriptor])
            yield
        except (OSError, EOFError) as error:
            await ends_within(self._process, END_SECONDS)
            status = self._process.poll()
            if status == -signal.SIGXCPU:
                raise TakesTooLong(TOO_LONG, "") from error
            kind = KilledFromOutside if status == -signal.SIGKILL else RenderingFailed
            raise kind(f"The process that renders has ended with status {status}.") from error

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readline()
        except ValueError as error:
            raise RenderingFailed("The answer of the process that renders has no end.") from error
        if not line.endswith(b"\n"):
            raise EOFError
        return line
