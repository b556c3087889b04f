"""Objects as files of one folder.

    <root>/staging/<key>     being written
    <root>/ab/ab3f….jpg      published; the first two characters of the key name the folder

Everything lies on one filesystem, so that publishing is a rename. A whole file of up to `BLOCK`
bytes is written, or read, in one visit to a thread and leaves no file open in between. Uploads
have threads of their own, so that nobody else waits behind their fsyncs when the disk is slow.

A visit to a thread costs more than reading what the system has in memory. So blocks are read in
place where the page cache has them (RWF_NOWAIT of preadv2(2)), and files that were opened a moment
ago are opened in place too: their folder entry and inode need no disk (ADR 0013).
"""

import asyncio
import errno
import logging
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar, TypeVarTuple
from uuid import uuid4

from app.errors import ObjectNotFound, StorageError, StorageFull, StorageUnavailable
from app.services.coalescing import Coalescer
from app.services.storage.base import ObjectInfo, ObjectReader, StagedObject, is_key, require_key

BLOCK: Final = 128 * 1024
"""Bytes that an upload or a download holds in memory, and moves per visit to a thread."""

PUBLISHING_THREADS: Final = int(os.environ.get("PT","4"))
FILES_AT_ONCE: Final = int(os.environ.get("FA","8"))
WARM_FILES: Final = 10_000
WARM_SECONDS: Final = 10.0
"""How many files, opened how lately, are expected to open without the disk."""

_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Of Linux. Elsewhere every block is read in a thread."""
_FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_log = logging.getLogger(__name__)
_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class LocalStorage:
    """A `StorageBackend` over a folder, which `check` makes when it first succeeds.

    From then on a missing folder is a failure: a volume that went away must not be mistaken for
    an empty one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._staging = root / "staging"
        self._uploads = ThreadPoolExecutor(32, thread_name_prefix="upload")
        self._publications = Coalescer(self._publish, PUBLISHING_THREADS, FILES_AT_ONCE)
        self._prepared = False
        self._warm: OrderedDict[str, float] = OrderedDict()
        """Until when a file counts as opened a moment ago, the least lately used first."""

    async def stage(self, key: str) -> StagedObject:
        """Begin an object; its file is made with its first block."""
        if not self._prepared:
            await self.check()
        return _StagedFile(
            self._staging / require_key(key), self._path(key), self._uploads, self._publications
        )

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open a file, and read the first block of the span."""
        reader = await _in_thread(_Reader, self._name(key), start, length)
        self._keep_warm(key)
        return reader

    def holds(self, key: str) -> bool:
        """Look for a file that was opened a moment ago."""
        if not self._is_warm(key):
            return False
        try:
            os.stat(self._name(key))
        except OSError:
            return False
        self._keep_warm(key)
        return True

    def open_at_once(self, key: str, start: int, length: int) -> ObjectReader | None:
        """Open a file that was opened a moment ago, if the page cache has the block to begin with."""
        if not self._is_warm(key):
            return None
        try:
            reader = _Reader(self._name(key), start, length, in_thread=False)
        except (StorageError, _WouldWait):
            return None
        self._keep_warm(key)
        return reader

    async def stat(self, key: str) -> ObjectInfo:
        """Look a file up."""
        path = self._path(key)

        def stat() -> ObjectInfo:
            with _translated_errors(path):
                return _info(key, path.stat())

        return await _in_thread(stat)

    async def delete(self, key: str) -> None:
        """Remove a file."""
        path = self._path(key)

        def unlink() -> None:
            with suppress(ObjectNotFound), _translated_errors(path):
                path.unlink()

        await _in_thread(unlink)

    async def list(self) -> AsyncIterator[ObjectInfo]:
        """Go through all files, holding the names of one folder at a time."""
        for name in _FOLDERS:
            for info in await _in_thread(_scan, self._root / name):
                if is_key(info.key) and info.key.startswith(name):
                    yield info

    async def list_staged(self) -> AsyncIterator[ObjectInfo]:
        """Go through the staging folder."""
        for info in await _in_thread(_scan, self._staging):
            yield info

    async def discard_staged(self, name: str) -> None:
        """Remove a file of the staging folder."""

        def unlink() -> None:
            with _translated_errors():
                (self._staging / Path(name).name).unlink(missing_ok=True)

        await _in_thread(unlink)

    async def check(self) -> None:
        """Write and remove a small file; the first time, make the folders."""
        await _in_thread(self._check)

    def _check(self) -> None:
        with _translated_errors():
            if not self._prepared:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                for folder in (self._staging, *(self._root / name for name in _FOLDERS)):
                    folder.mkdir(mode=0o700, exist_ok=True)
                _sync_folder(self._root)
                _sync_folder(self._root.parent)
            probe = self._staging / f"check-{uuid4().hex}"
            try:
                probe.write_bytes(bytes(4096))
            finally:
                probe.unlink(missing_ok=True)
            self._prepared = True

    async def _publish(self, files: "Sequence[_StagedFile]") -> "Sequence[Exception | None]":
        """Publish files one after the other in one visit to a thread."""
        return await _in_thread(_publish_each, files, threads=self._uploads)

    def _is_warm(self, key: str) -> bool:
        return monotonic() < self._warm.get(key, 0.0)

    def _keep_warm(self, key: str) -> None:
        self._warm[key] = monotonic() + WARM_SECONDS
        self._warm.move_to_end(key)
        if len(self._warm) > WARM_FILES:
            self._warm.popitem(last=False)

    def _path(self, key: str) -> Path:
        return Path(self._name(key))

    def _name(self, key: str) -> str:
        """Tell a file's path as the system takes it; a `Path` costs as much as opening the file."""
        return f"{self._root}/{require_key(key)[:2]}/{key}"


class _StagedFile:
    """A file in the staging folder that will be renamed to its target."""

    def __init__(
        self,
        path: Path,
        target: Path,
        threads: Executor,
        publications: "Coalescer[_StagedFile, None]",
    ) -> None:
        self._path = path
        self._target = target
        self._threads = threads
        self._publications = publications
        self._buffer = bytearray()
        self._descriptor: int | None = None
        self._begun = False

    async def write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= BLOCK:
            await _in_thread(self._append, threads=self._threads)

    async def flush(self) -> None:
        await _in_thread(self._flush, threads=self._threads)

    async def publish(self) -> None:
        await _to_the_end(self._publications.submit(self))

    async def discard(self) -> None:
        await _in_thread(self._discard, threads=self._threads)

    def _append(self) -> int:
        with _translated_errors():
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
        with _translated_errors():
            self._append()
            self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def publish_now(self) -> None:
        """Do what `publish` does, in the thread of the caller."""
        descriptor = self._append()
        with _translated_errors():
            os.fsync(descriptor)
            self._close()
            self._path.rename(self._target)
            _sync_folder(self._target.parent)

    def _discard(self) -> None:
        try:
            with suppress(OSError):
                self._close()
            if self._begun:
                self._path.unlink(missing_ok=True)
                self._target.unlink(missing_ok=True)
        except OSError:
            _log.exception("could not remove %s, which fsck will find", self._path.name)


def _publish_each(files: Sequence[_StagedFile]) -> Sequence[Exception | None]:
    """Publish files; give for each what went wrong, or None."""
    results: list[Exception | None] = []
    for file in files:
        try:
            file.publish_now()
        except Exception as error:  # noqa: BLE001 - handed on to who asked for this one
            results.append(error)
        else:
            results.append(None)
    return results


class _Reader:
    """A span of a file. The file is open only while the span has bytes yet to be read.

    Args:
        name: The file.
        start: Where the span begins.
        length: Its bytes, if there are so many; None = to the end.
        in_thread: Whether the first block may be waited for.
    """

    def __init__(
        self, name: str, start: int, length: int | None, *, in_thread: bool = True
    ) -> None:
        with _translated_errors(name):
            self._descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        self._open = True
        try:
            with _translated_errors():
                self.size = os.fstat(self._descriptor).st_size
            rest = max(self.size - start, 0)
            self._position = start
            self._left = rest if length is None else min(length, rest)
            self._block = self._read_block() if in_thread else self._read_cached_block()
        except BaseException:
            self._close()
            raise

    async def read(self) -> bytes:
        block, self._block = self._block, b""
        if not block and self._left:
            try:
                block = self._read_cached_block()
            except _WouldWait:
                block = await _in_thread(self._read_block)
        return block

    async def close(self) -> None:
        self._left = 0
        self._close()

    def _read_cached_block(self) -> bytes:
        """Read what the page cache holds of the next block; raise `_WouldWait` if it is nothing."""
        if self._left and _NOWAIT is None:
            raise _WouldWait
        block = bytearray(min(BLOCK, self._left))
        try:
            count = os.preadv(self._descriptor, [block], self._position, _NOWAIT or 0) if block else 0
        except OSError as error:
            raise _WouldWait from error
        if block and not count:
            raise _WouldWait
        del block[count:]
        return self._advance(bytes(block))

    def _read_block(self) -> bytes:
        with _translated_errors():
            block = os.pread(self._descriptor, min(BLOCK, self._left), self._position) if self._left else b""
        if self._left and not block:
            raise StorageUnavailable
        return self._advance(block)

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


class _WouldWait(Exception):
    """The page cache does not have it."""


async def _in_thread(
    function: Callable[[*_Arguments], _Result],
    *args: *_Arguments,
    threads: Executor | None = None,
) -> _Result:
    """Call a blocking function in a thread.

    Without `threads` it is one of asyncio's own; either way it logs under the request's id.
    """
    loop = asyncio.get_running_loop()
    return await _to_the_end(
        loop.run_in_executor(threads, partial(copy_context().run, function, *args))
    )


async def _to_the_end(work: "asyncio.Future[_Result]") -> _Result:
    """Wait for the end of work in a thread, even when cancelled.

    So no two visits to a file overlap, and none is left to run after its owner is gone.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        raise


@contextmanager
def _translated_errors(path: Path | str | None = None) -> Iterator[None]:
    """Raise the storage's own errors.

    Where an object's path is given, a missing file is a missing object, if its folder is there.
    """
    try:
        yield
    except FileNotFoundError as error:
        if path and Path(path).parent.is_dir():
            raise ObjectNotFound(Path(path).name) from error
        raise StorageUnavailable from error
    except OSError as error:
        raise (StorageFull() if error.errno in _NO_ROOM else StorageUnavailable()) from error


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _scan(folder: Path) -> list[ObjectInfo]:
    """List the files of a folder in the order of their names."""
    found = []
    with _translated_errors(), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append(_info(entry.name, entry.stat()))
    return sorted(found, key=attrgetter("key"))


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
