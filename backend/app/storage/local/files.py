"""One file of the local storage: how it is written, and how a span of it is read."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from app.domain.errors import StorageError, StorageUnavailable
from app.observability.reasons import reason
from app.storage.local.blocks import Block
from app.storage.local.calls import Call, storage_error, translated_errors
from app.storage.local.threads import Threads
from app.storage.local.writer import Writer
from app.storage.local.writer_program import Order, Proof

READ_BLOCK: Final = 128 * 1024
"""Bytes that a download holds in memory, and reads at a time."""

_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Of Linux. Elsewhere every block is read in a thread."""
DISCARD_SECONDS: Final = 1.0
"""How long the removal of a discarded file is waited for; on a hanging disk it happens later."""

_Block = TypeVar("_Block", bytes, bytearray)
_log = logging.getLogger(__name__)


class StagedFile:
    """A file in the staging folder that will be renamed to its target.

    What is less than a block is written and published in one go.
    """

    def __init__(
        self, path: str, target: str, writer: Writer, threads: Threads, proof: Proof | None = None
    ) -> None:
        self._path = path
        self._target = target
        self._proof = proof
        self._writer = writer
        self._threads = threads
        self._block: Block | None = None
        self._size = 0
        """Bytes that the writer was given."""
        self._begun = False

    async def write(self, data: bytes) -> None:
        """Append bytes; they go to the disk a block at a time."""
        rest = memoryview(data)
        while rest:
            if self._block is None:
                self._block = self._take_block()
            rest = rest[self._block.fill(rest) :]
            if self._block.is_full:
                await self._hand_over()

    async def seal(self) -> None:
        """Write what is held, and hold nothing until `publish`."""
        if self._block is not None and self._block.filled:
            await self._hand_over()
        self._give_back()

    async def publish(self) -> bytes | None:
        """Make the file durable under its name."""
        checksum = await self._hand_over(self._target)
        self._give_back()
        return checksum

    async def discard(self) -> None:
        """Remove the file, published or not."""
        self._give_back()
        if not self._begun:
            return
        path = self._path
        removal = Call("unlink", path, self._remove, is_certain=True, seconds=DISCARD_SECONDS)
        try:
            await self._threads.run(removal)
        except StorageError as error:
            name = Path(path).name
            _log.error("could not remove %s, which fsck will find: %s", name, reason(error))

    async def _hand_over(self, target: str | None = None) -> bytes | None:
        begin, length = (self._block.begin, self._block.filled) if self._block else (0, 0)
        order = Order(self._path, self._size, begin, length, target, self._proof)
        self._begun = True
        try:
            checksum = await self._writer.carry_out(order, self._block)
        except OSError as error:
            raise storage_error(error) from error
        self._size += length
        if self._block:
            self._block.filled = 0
        return checksum

    def _take_block(self) -> Block:
        try:
            return self._writer.take_block()
        except OSError as error:
            raise storage_error(error) from error

    def _give_back(self) -> None:
        if self._block is not None:
            self._writer.give_back(self._block)
            self._block = None

    def _remove(self) -> None:
        for name in (self._path, self._target):
            Path(name).unlink(missing_ok=True)


class FileReader:
    """A span of a file, which is open only while the span has bytes yet to be read.

    Blocks are read in place where the page cache has them (RWF_NOWAIT of preadv2(2)), for a call
    in a thread costs more; where the disk must be waited for, they are read in a thread.

    Args:
        name: The file. A `Path` would cost as much to make as the file to open.
        start: Where the span begins.
        length: Its bytes, if the file has so many; None = to the end.
        threads: Where to wait for the disk.

    Raises:
        ObjectNotFound: If there is no such file.
        StorageUnavailable: If it cannot be opened.
    """

    def __init__(self, name: str, start: int, length: int | None, threads: Threads) -> None:
        self._name = name
        self._threads = threads
        self._block: bytes | bytearray = b""
        with translated_errors("open", name, of_object=True):
            self._descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            self._open = True
            try:
                self.size = os.fstat(self._descriptor).st_size
            except BaseException:
                self.close_here()
                raise
        rest = max(self.size - start, 0)
        self._position = start
        self._left = rest if length is None else min(length, rest)
        if not self._left:
            self.close_here()

    async def read(self) -> bytes | bytearray:
        """Give the next block."""
        block, self._block = self._block, b""
        if not block and self._left:
            block = self._take_cached() or await self._threads.run(
                Call("read", self._name, self._take)
            )
        return block

    async def close(self) -> None:
        """Close the file, if it is open: in a thread, for over a network that may have to wait."""
        self._left = 0
        if self._open:
            with suppress(StorageError):
                await self._threads.run(Call("close", self._name, self.close_here, is_certain=True))

    def begin(self) -> "FileReader":
        """Read the first block, which may wait for the disk."""
        if self._left:
            try:
                self._block = self._take()
            except BaseException:
                self.close_here()
                raise
        return self

    def begin_cached(self) -> "FileReader | None":
        """Read the first block from the page cache; where that has nothing of it, close."""
        if self._left:
            self._block = self._take_cached()
            if not self._block:
                self.close_here()
                return None
        return self

    def _take(self) -> bytes:
        with translated_errors("read", self._name):
            block = os.pread(self._descriptor, min(READ_BLOCK, self._left), self._position)
        if not block:
            raise StorageUnavailable from EOFError(f"{self._name} is shorter than it was")
        return self._advance(block)

    def _take_cached(self) -> bytes | bytearray:
        if _NO_WAIT is None:
            return b""
        buffer = bytearray(min(READ_BLOCK, self._left))
        try:
            count = os.preadv(self._descriptor, [buffer], self._position, _NO_WAIT)
        except OSError:
            return b""
        del buffer[count:]
        return self._advance(buffer)

    def _advance(self, block: _Block) -> _Block:
        self._position += len(block)
        self._left -= len(block)
        if not self._left:
            self.close_here()
        return block

    def close_here(self) -> None:
        """Close the file, if it is open, in this thread."""
        if self._open:
            self._open = False
            os.close(self._descriptor)


def can_read_cached(file: str) -> bool:
    """Tell whether the filesystem of a file, which has just been written, knows RWF_NOWAIT."""
    if _NO_WAIT is None:
        return False
    with open(file, "rb") as opened:  # noqa: PTH123 - its name is a string
        try:
            os.preadv(opened.fileno(), [bytearray(1)], 0, _NO_WAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
