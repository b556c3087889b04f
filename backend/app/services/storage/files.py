"""One file of the local storage: how it is written, and how a span of it is read."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from app.errors import ObjectNotFound, StorageFull, StorageUnavailable
from app.services.storage.threads import Threads
from app.services.storage.writer import Block, Writer
from app.services.storage.writer_program import Order

READ_BLOCK: Final = 128 * 1024
"""Bytes that a download holds in memory, and reads at a time."""

_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Of Linux. Elsewhere every block is read in a thread."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_Block = TypeVar("_Block", bytes, bytearray)
_log = logging.getLogger(__name__)


class StagedFile:
    """A file in the staging folder that will be renamed to its target.

    What is less than a block is written and published in one go.
    """

    def __init__(self, path: str, target: str, writer: Writer, threads: Threads) -> None:
        self._path = path
        self._target = target
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
                with translated_errors():
                    self._block = self._writer.take_block()
            rest = rest[self._block.fill(rest) :]
            if self._block.is_full:
                await self._hand_over()

    async def flush(self) -> None:
        """Write what is held, and hold nothing until `publish`."""
        if self._block is not None and self._block.filled:
            await self._hand_over()
        self._give_back()

    async def publish(self) -> None:
        """Make the file durable under its name."""
        await self._hand_over(self._target)
        self._give_back()

    async def discard(self) -> None:
        """Remove the file, published or not."""
        self._give_back()
        if self._begun:
            await self._threads.certain_visit(self._remove)

    async def _hand_over(self, target: str | None = None) -> None:
        begin, length = (self._block.begin, self._block.filled) if self._block else (0, 0)
        self._begun = True
        with translated_errors():
            await self._writer.carry_out(Order(self._path, self._size, begin, length, target))
        self._size += length
        if self._block:
            self._block.filled = 0

    def _give_back(self) -> None:
        if self._block is not None:
            self._writer.give_back(self._block)
            self._block = None

    def _remove(self) -> None:
        try:
            for name in (self._path, self._target):
                Path(name).unlink(missing_ok=True)
        except OSError:
            _log.exception("could not remove %s, which fsck will find", Path(self._path).name)


class FileReader:
    """A span of a file, which is open only while the span has bytes yet to be read.

    Blocks are read in place where the page cache has them (RWF_NOWAIT of preadv2(2)), for a visit
    to a thread costs more; where the disk must be waited for, they are read in a thread.

    Args:
        name: The file. A `Path` would cost as much to make as the file to open.
        start: Where the span begins.
        length: Its bytes, if the file has so many; None = to the end.
        threads: Where to wait for the disk.
    """

    def __init__(self, name: str, start: int, length: int | None, threads: Threads) -> None:
        with translated_errors(name):
            self._descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        self._threads = threads
        self._open = True
        self._block: bytes | bytearray = b""
        try:
            with translated_errors():
                self.size = os.fstat(self._descriptor).st_size
        except BaseException:
            self._close()
            raise
        rest = max(self.size - start, 0)
        self._position = start
        self._left = rest if length is None else min(length, rest)
        if not self._left:
            self._close()

    async def read(self) -> bytes | bytearray:
        """Give the next block."""
        block, self._block = self._block, b""
        if not block and self._left:
            block = self._take_cached() or await self._threads.visit(self._take)
        return block

    async def close(self) -> None:
        """Close the file, if it is open."""
        self._left = 0
        self._close()

    def begin(self) -> "FileReader":
        """Read the first block, which may wait for the disk."""
        if self._left:
            try:
                self._block = self._take()
            except BaseException:
                self._close()
                raise
        return self

    def begin_cached(self) -> "FileReader | None":
        """Read the first block from the page cache; where that has nothing of it, close."""
        if self._left:
            self._block = self._take_cached()
            if not self._block:
                self._close()
                return None
        return self

    def _take(self) -> bytes:
        with translated_errors():
            block = os.pread(self._descriptor, min(READ_BLOCK, self._left), self._position)
        if not block:
            raise StorageUnavailable
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
            self._close()
        return block

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


def can_read_cached(file: Path) -> bool:
    """Tell whether the filesystem of a file, which has just been written, knows RWF_NOWAIT."""
    if _NO_WAIT is None:
        return False
    try:
        with file.open("rb") as opened:
            os.preadv(opened.fileno(), [bytearray(1)], 0, _NO_WAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def translated_errors(name: str | None = None) -> Iterator[None]:
    """Raise the storage's own errors.

    Where an object's file is named, a missing file is a missing object, if its folder is there.
    """
    try:
        yield
    except FileNotFoundError as error:
        if name and Path(name).parent.is_dir():
            raise ObjectNotFound(Path(name).name) from error
        raise StorageUnavailable from error
    except OSError as error:
        raise (StorageFull() if error.errno in _NO_ROOM else StorageUnavailable()) from error
