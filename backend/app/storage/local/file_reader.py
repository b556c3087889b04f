"""Reading a span of a file, in place where that does not have to wait for the disk."""

import os
import socket
from contextlib import suppress
from typing import Final, NoReturn

from app.domain.errors import StorageError, StorageUnavailable
from app.runtime.page_cache import NO_WAIT, count_cached
from app.storage.abilities import FileBacked, FileSpan
from app.storage.local.calls import Call
from app.storage.local.threads import Threads
from app.storage.local.writer_program import named, named_error

READ_BLOCK: Final = 128 * 1024
"""Bytes that a download holds in memory, and reads at a time."""
FIRST_BLOCK: Final = 16 * 1024
"""Bytes read of a span of more than a block, if the kernel can send the rest from the page cache.

What fits into a block takes as long either way (ADR 54).
"""


class FileReader(FileBacked):
    """A span of a file, which is open only while the span has bytes yet to be read.

    Blocks are read in place where the page cache has them (RWF_NOWAIT of preadv2(2)), since a call
    in a thread costs more; where the disk must be waited for, they are read in a thread.

    Args:
        name: The file. A `Path` would cost as much to make as the file to open.
        start: Where the span begins.
        length: Its bytes, if the file has so many; None = up to the file's end.
        threads: Where to wait for the disk.
        can_send: Whether the kernel can send from this file (`can_send_cached`).

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(
        self, name: str, start: int, length: int | None, threads: Threads, *, can_send: bool
    ) -> None:
        self._name = name
        self._threads = threads
        self._can_send = can_send
        self._block: bytes | bytearray = b""
        self._position = start
        self._left = 0
        self._is_open = False
        if length == 0:
            self.size = os.stat(name).st_size  # noqa: PTH116 - a `Path` costs more than the call
            return
        self._descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        self._is_open = True
        try:
            self.size = os.fstat(self._descriptor).st_size
        except BaseException:
            self.close_here()
            raise
        rest = max(self.size - start, 0)
        self._left = rest if length is None else min(length, rest)
        if not self._left:
            self.close_here()

    async def read(self) -> bytes | bytearray:
        """Return the next block."""
        block, self._block = self._block, b""
        if not block and self._left:
            block = self._read_cached() or await self._read_in_thread()
        return block

    def take_cached(self) -> FileSpan | None:
        """Return the next bytes as far as the page cache has them, read once to find that out.

        mincore(2) would save the copy, but takes as long, and calls from outside of Python.
        """
        if self._block or not (self._left and self._can_send):
            return None
        try:
            cached = count_cached(self._descriptor, self._position)
        except OSError:
            return None
        count = min(cached, self._left)
        if not count:
            return None
        span = FileSpan(self._descriptor, self._position, count)
        self._position += count
        self._left -= count
        return span

    def fail(self, cause: BaseException | None) -> NoReturn:
        """Raise what it means that bytes which were taken cannot be sent: see `FileBacked`."""
        error = StorageUnavailable()
        self._report(error)
        if isinstance(cause, OSError):
            raise error from named_error(cause, "read", self._name)
        raise error from self._end()

    async def close(self) -> None:
        """Close the file, if it is open: in a thread, since over a network that may wait.

        One whose last bytes were in the page cache is closed at once, as after reading them.
        """
        if not self._left:
            self.close_here()
        self._left = 0
        if self._is_open:
            with suppress(StorageError):
                await self._threads.run(Call("close", self._name, self.close_here, must_run=True))

    def begin(self) -> "FileReader":
        """Read the first block, which may wait for the disk."""
        self.has_waited = True
        if self._left:
            try:
                self._block = self._read()
            except BaseException:
                self.close_here()
                raise
        return self

    def begin_cached(self) -> "FileReader | None":
        """Read the first block from the page cache; close the file where that has none of it."""
        if self._left:
            is_sent = self._can_send and self._left > READ_BLOCK
            self._block = self._read_cached(FIRST_BLOCK if is_sent else READ_BLOCK)
            if not self._block:
                self.close_here()
                return None
        return self

    async def _read_in_thread(self) -> bytes | bytearray:
        try:
            return await self._threads.run(Call("read", self._name, self._read))
        except StorageError as error:
            self._report(error)
            raise

    def _report(self, error: StorageError) -> None:
        if self.on_failure:
            self.on_failure(error)

    def _end(self) -> EOFError:
        return EOFError(f"{self._name} is shorter than it was")

    def _read(self) -> bytes | bytearray:
        self.has_waited = True
        with named("read", self._name):
            block = os.pread(self._descriptor, min(READ_BLOCK, self._left), self._position)
        if not block:
            raise StorageUnavailable from self._end()
        return self._advance(block)

    def _read_cached(self, most: int = READ_BLOCK) -> bytes | bytearray:
        if NO_WAIT is None:
            return b""
        buffer = bytearray(min(most, self._left))
        try:
            count = os.preadv(self._descriptor, [buffer], self._position, NO_WAIT)
        except OSError:
            return b""
        del buffer[count:]
        return self._advance(buffer)

    def _advance(self, block: bytes | bytearray) -> bytes | bytearray:
        self._position += len(block)
        self._left -= len(block)
        if not self._left:
            self.close_here()
        return block

    def close_here(self) -> None:
        """Close the file, if it is open, in this thread."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)


def can_read_cached(name: str) -> bool:
    """Return whether the filesystem of a file, which has just been written, knows RWF_NOWAIT."""
    if NO_WAIT is None:
        return False
    with open(name, "rb") as file:  # noqa: PTH123 - its name is a string
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, NO_WAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def can_send_cached(name: str) -> bool:
    """Return whether the system can send from such a file to a socket: filesystem, kernel, seccomp.

    Args:
        name: The file, which `can_read_cached`.
    """
    near, far = socket.socketpair()
    with near, far, open(name, "rb") as file:  # noqa: PTH123 - its name is a string
        try:
            return os.sendfile(near.fileno(), file.fileno(), 0, 1) == 1
        except OSError:
            return False
