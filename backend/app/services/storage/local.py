"""Objects as files of one folder.

    <root>/staging/<key>     being written
    <root>/ab/ab3f….jpg      published; the first two characters of the key name the folder

Everything lies on one filesystem, so that publishing is a rename. Uploads are written by a process
of their own, so that nobody else waits behind their fsyncs when the disk is slow.
"""

import os
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

from app.errors import ObjectNotFound, StorageError
from app.services.storage.base import ObjectInfo, ObjectReader, StagedObject, is_key, require_key
from app.services.storage.files import (
    FileReader,
    StagedFile,
    can_read_cached,
    translated_errors,
)
from app.services.storage.threads import Threads
from app.services.storage.writer import Writer
from app.services.storage.writer_program import PAGE, sync_folder

THREADS: Final = 8
UPLOADS: Final = 1000
WARM_FILES: Final = 10_000
WARM_SECONDS: Final = 10.0
"""How many files, opened how lately, are expected to open without the disk."""

_FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))


class LocalStorage:
    """A `StorageBackend` over a folder, which `check` makes when it first succeeds.

    From then on a missing folder is a failure: a volume that went away must not be mistaken for
    an empty one.

    Args:
        root: The folder.
        threads: How many threads wait for the disk, for uploads and again for all else.
        uploads: How many objects may be written at once.
    """

    def __init__(self, root: Path, threads: int = THREADS, uploads: int = UPLOADS) -> None:
        self._root = root
        self._staging = root / "staging"
        self._threads = Threads(threads, "storage")
        self._writer = Writer(threads, uploads)
        self._prepared = False
        self._can_read_at_once = False
        self._warm: OrderedDict[str, float] = OrderedDict()
        """Until when a file counts as opened a moment ago, the least lately used first."""

    async def stage(self, key: str) -> StagedObject:
        """Begin an object; its file is made with its first block."""
        if not self._prepared:
            await self.check()
        path = f"{self._staging}/{require_key(key)}"
        return StagedFile(path, self._name(key), self._writer, self._threads)

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open a file, and read the first block of the span."""
        opened: list[FileReader] = []

        def open_and_read() -> None:
            opened.append(FileReader(self._name(key), start, length, self._threads).begin())

        try:
            await self._threads.visit(open_and_read)
        except BaseException:
            for reader in opened:  # cancelled meanwhile
                await reader.close()
            raise
        self._keep_warm(key)
        return opened[0]

    def holds(self, key: str) -> bool:
        """Look for a file that was opened a moment ago."""
        if not self._is_warm(key):
            return False
        try:
            os.stat(self._name(key))  # noqa: PTH116 - a `Path` costs more than the look itself
        except OSError:
            return False
        self._keep_warm(key)
        return True

    def open_at_once(self, key: str, start: int, length: int) -> ObjectReader | None:
        """Open a file that was opened a moment ago, if the page cache has what is read first.

        Its folder entry and its inode are in memory then, so that opening it needs no disk.
        """
        if not self._is_warm(key):
            return None
        try:
            return FileReader(self._name(key), start, length, self._threads).begin_cached()
        except StorageError:
            return None

    async def stat(self, key: str) -> ObjectInfo:
        """Look a file up."""
        name = self._name(key)

        def stat() -> ObjectInfo:
            with translated_errors(name):
                return _info(key, Path(name).stat())

        return await self._threads.visit(stat)

    async def delete(self, key: str) -> None:
        """Remove a file."""
        name = self._name(key)

        def unlink() -> None:
            with suppress(ObjectNotFound), translated_errors(name):
                Path(name).unlink()

        # However much there is to do: its row is gone, so nobody would try again.
        await self._threads.certain_visit(unlink)

    async def list(self) -> AsyncIterator[ObjectInfo]:
        """Go through all files, holding the names of one folder at a time."""
        for name in _FOLDERS:
            for info in await self._threads.visit(_scan, self._root / name):
                if is_key(info.key) and info.key.startswith(name):
                    yield info

    async def list_staged(self) -> AsyncIterator[ObjectInfo]:
        """Go through the staging folder."""
        for info in await self._threads.visit(_scan, self._staging):
            yield info

    async def discard_staged(self, name: str) -> None:
        """Remove a file of the staging folder."""

        def unlink() -> None:
            with translated_errors():
                (self._staging / Path(name).name).unlink(missing_ok=True)

        await self._threads.visit(unlink)

    async def check(self) -> None:
        """Write and remove a small file; the first time, make the folders.

        The first time it is written as uploads are. Later that would wait behind them.
        """
        probe = self._staging / f"check-{uuid4().hex}"
        if self._prepared:
            await self._threads.visit(_write_and_remove, probe)
            return
        await self._threads.visit(self._make_folders)
        staged = StagedFile(str(probe), str(probe), self._writer, self._threads)
        try:
            await staged.write(bytes(PAGE))
            await staged.flush()
            self._can_read_at_once = await self._threads.visit(can_read_cached, probe)
        finally:
            await staged.discard()
        self._prepared = True

    async def close(self) -> None:
        """End the process that writes uploads."""
        await self._writer.close()

    def _make_folders(self) -> None:
        with translated_errors():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self._staging, *(self._root / name for name in _FOLDERS)):
                folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self._root)
            sync_folder(self._root.parent)

    def _is_warm(self, key: str) -> bool:
        return self._can_read_at_once and monotonic() < self._warm.get(key, 0.0)

    def _keep_warm(self, key: str) -> None:
        self._warm[key] = monotonic() + WARM_SECONDS
        self._warm.move_to_end(key)
        if len(self._warm) > WARM_FILES:
            self._warm.popitem(last=False)

    def _name(self, key: str) -> str:
        return f"{self._root}/{require_key(key)[:2]}/{key}"


def _write_and_remove(file: Path) -> None:
    with translated_errors():
        try:
            file.write_bytes(bytes(PAGE))
        finally:
            file.unlink(missing_ok=True)


def _scan(folder: Path) -> list[ObjectInfo]:
    """List the files of a folder in the order of their names."""
    found = []
    with translated_errors(), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append(_info(entry.name, entry.stat()))
    return sorted(found, key=attrgetter("key"))


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
