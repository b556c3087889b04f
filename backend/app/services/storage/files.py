"""One file of the local storage: how it is written, and how a span of it is read."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.errors import ObjectNotFound, StorageFull, StorageUnavailable
from app.services.storage.threads import Threads, to_the_end

if TYPE_CHECKING:
    from app.services.coalescing import Coalescer

BLOCK: Final = 128 * 1024
"""Bytes that an upload or a download holds in memory, and moves per visit to a thread."""

_NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Of Linux. Elsewhere every block is read in a thread."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = logging.getLogger(__name__)


class StagedFile:
    """A file in the staging folder that will be renamed to its target.

    A whole file of up to `BLOCK` bytes is written and published in one visit to a thread.
    """

    def __init__(
        self,
        path: Path,
        target: Path,
        threads: Threads,
        publications: "Coalescer[StagedFile, None]",
    ) -> None:
        self._path = path
        self._target = target
        self._threads = threads
        self._publications = publications
        self._buffer = bytearray()
        self._descriptor: int | None = None
        self._begun = False

    async def write(self, data: bytes) -> None:
        """Append bytes; they go to the disk a block at a time."""
        self._buffer += data
        if len(self._buffer) >= BLOCK:
            await self._threads.visit(self._append)

    async def flush(self) -> None:
        """Write what is held, and close the file until `publish`."""
        await self._threads.visit(self._flush)

    async def publish(self) -> None:
        """Make the file durable under its name, together with others that wait for the same."""
        await to_the_end(self._publications.submit(self))

    async def discard(self) -> None:
        """Remove the file, published or not."""
        await self._threads.certain_visit(self._discard)

    def publish_now(self) -> None:
        """Do what `publish` does, in the thread of the caller."""
        descriptor = self._append()
        with translated_errors():
            os.fsync(descriptor)
            self._close()
            self._path.rename(self._target)
            sync_folder(self._target.parent)

    def _append(self) -> int:
        with translated_errors():
            if self._descriptor is None:
                how = os.O_APPEND if self._begun else os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | how, 0o600)
                self._begun = True
            rest = memoryview(self._buffer)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._buffer = bytearray()
            return self._descriptor

    def _flush(self) -> None:
        with translated_errors():
            self._append()
            self._close()

    def _discard(self) -> None:
        try:
            with suppress(OSError):
                self._close()
            if self._begun:
                self._path.unlink(missing_ok=True)
                self._target.unlink(missing_ok=True)
        except OSError:
            _log.exception("could not remove %s, which fsck will find", self._path.name)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


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
        self._block = b""
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

    async def read(self) -> bytes:
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
            block = os.pread(self._descriptor, min(BLOCK, self._left), self._position)
        if not block:
            raise StorageUnavailable
        return self._advance(block)

    def _take_cached(self) -> bytes:
        if _NO_WAIT is None:
            return b""
        buffer = bytearray(min(BLOCK, self._left))
        try:
            count = os.preadv(self._descriptor, [buffer], self._position, _NO_WAIT)
        except OSError:
            return b""
        return self._advance(bytes(memoryview(buffer)[:count]))

    def _advance(self, block: bytes) -> bytes:
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
    with file.open("rb") as opened:
        try:
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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
