"""Objects as files of one folder.

    <root>/storage-id        tells which storage this is
    <root>/staging/<key>     being written
    <root>/ab/ab3f….jpg      published; the first two characters of the key name the folder

Everything lies on one filesystem, so that publishing is a rename. Uploads are written by a process
of their own, so that nobody else waits behind their fsyncs when the disk is slow.
"""

import os
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from errno import ENOENT
from functools import partial
from pathlib import Path
from stat import S_ISREG
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID, uuid4

from app.domain.errors import ObjectNotFound, StorageError, StorageUnavailable
from app.storage.base import (
    KEY,
    Mark,
    ObjectInfo,
    ObjectReader,
    Skipped,
    StagedObject,
    ignore,
    require_key,
)
from app.storage.local.calls import Call, storage_error
from app.storage.local.files import FileReader, StagedFile, can_read_cached
from app.storage.local.marking import holds_objects, proof_of, read_mark, write_mark
from app.storage.local.threads import Threads
from app.storage.local.writer import Writer
from app.storage.local.writer_program import PAGE, Proof, require, sync_folder

THREADS: Final = 8
UPLOADS: Final = 1000
WARM_FILES: Final = 10_000
WARM_SECONDS: Final = 10.0
"""How many files, opened how lately, are expected to open without the disk."""

PROBE_SECONDS: Final = 3.0
"""How long the disk may take to show that it works: less than readiness may take to answer."""
SCAN_FILES: Final = 200
"""Files of a folder that are looked at with one call, so that a large folder takes many."""

_Result = TypeVar("_Result")

_FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
_STAGED: Final = re.compile(rf"{KEY.pattern}|check-[0-9a-f]{{32}}(\.published)?")
"""Names of what is staged: an upload, or what `probe` writes."""


class LocalStorage:
    """A `StorageBackend` over a folder, which `prepare` makes when it first succeeds.

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
        self._proof: Proof | None = None
        self._prepared = False
        self._can_read_at_once = False
        self._warm: OrderedDict[str, float] = OrderedDict()
        """Until when each file counts as warm, the first one to end first."""

    async def stage(self, key: str, content_type: str) -> StagedObject:  # noqa: ARG002 - in the row
        """Begin an object; its file is made with its first block."""
        await self.prepare()
        path = f"{self._staging}/{require_key(key)}"
        return StagedFile(path, self._name(key), self._writer, self._threads, self._proof)

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open a file in place if it is warm, else in a thread, and read the span's first block.

        The folder entry and the inode of a warm file are in memory, so that opening it needs no
        disk, and what the page cache does not have of it is not read in place.
        """
        name = self._name(key)
        if self._is_warm(key) and (reader := self._open_in_place(name, start, length)):
            return reader

        def open_and_read() -> FileReader:
            return FileReader(name, start, length, self._threads).begin()

        undo = FileReader.close_here
        opened = await self._run(Call("open", name, open_and_read, undo=undo, of_object=True))
        self._keep_warm(key)
        return opened

    async def stat(self, key: str) -> ObjectInfo:
        """Look a file up."""
        name = self._name(key)
        found = await self._run(Call("stat", name, partial(_stat_file, name), of_object=True))
        return _info(key, found)

    async def delete(self, key: str) -> None:
        """Remove a file, after a disk that hung if need be: its row is gone."""
        name = self._name(key)
        unlink = partial(os.unlink, name)
        with suppress(ObjectNotFound):
            await self._run(Call("unlink", name, unlink, of_object=True, is_certain=True))

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Go through all files, holding the names of one folder at a time."""
        for name in _FOLDERS:
            folder = f"{self._root}/{name}"
            async for info in self._scan(folder, re.compile(f"(?={name}){KEY.pattern}"), skipped):
                yield info

    async def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Go through the staging folder."""
        async for info in self._scan(str(self._staging), _STAGED, skipped):
            yield info

    async def discard_staged(self, name: str) -> None:
        """Remove a file of the staging folder."""
        file = self._staging / Path(name).name
        await self._threads.run(Call("unlink", str(file), partial(file.unlink, missing_ok=True)))

    async def prepare(self) -> None:
        """Make the folders, and write a file as uploads are written, with nothing left out."""
        if self._prepared:
            return
        await self._require_proof()
        await self._threads.run(Call("mkdir", str(self._root), self._make_folders))
        await self._write_as_uploads_are()
        self._prepared = True

    async def probe(self) -> None:
        """Write and remove a small file, and have the process that writes uploads answer.

        It does not queue behind uploads, but while these fail it is written as they are.
        """
        await self.prepare()
        await self._require_proof()
        if self._writer.is_suspect:
            await self._write_as_uploads_are()
            return
        path = self._probe_path()
        write = partial(_write_and_remove, Path(path))
        await self._threads.run(Call("write", path, write, seconds=PROBE_SECONDS))
        try:
            await self._writer.check()
        except OSError as error:
            raise StorageUnavailable from error

    async def close(self) -> None:
        """End the process that writes uploads."""
        await self._writer.close()

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._root.absolute())

    async def read_mark(self) -> Mark | None:
        """Read the file that marks the folder."""
        root = self._root
        return await self._threads.run(Call("read", str(root), partial(read_mark, root)))

    async def write_mark(self, mark: Mark) -> None:
        """Write the file that marks the folder, which is made if need be."""
        root = self._root
        await self._threads.run(Call("write", str(root), partial(write_mark, root, mark)))

    async def holds_objects(self) -> bool:
        """Look for a file in the folders that are there."""
        root = self._root
        return await self._threads.run(Call("list", str(root), partial(holds_objects, root)))

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while the folder has this mark."""
        self._proof = proof_of(self._root, storage_id)

    async def _run(self, call: Call[_Result]) -> _Result:
        """Make a call for which an object is missing only if the storage is the right one.

        Made once more where it is: a volume may have come back since the first call.
        """
        try:
            return await self._threads.run(call)
        except ObjectNotFound:
            await self._require_proof()
        return await self._threads.run(call)

    async def _require_proof(self) -> None:
        if self._proof:
            await self._threads.run(Call("read", self._proof.path, partial(require, self._proof)))

    def _probe_path(self) -> str:
        return f"{self._staging}/check-{uuid4().hex}"

    def _make_folders(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self._staging, *(self._root / name for name in _FOLDERS)):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self._root, self._root.parent):
            try:
                sync_folder(str(folder))
            except OSError as error:
                raise storage_error(error) from error

    async def _write_as_uploads_are(self) -> None:
        path = self._probe_path()
        staged = StagedFile(path, f"{path}.published", self._writer, self._threads, self._proof)
        try:
            await staged.write(bytes(PAGE))
            await staged.seal()
            self._can_read_at_once = await self._threads.run(
                Call("open", path, partial(can_read_cached, path))
            )
            await staged.publish()
        finally:
            await staged.discard()

    async def _scan(
        self, folder: str, ours: re.Pattern[str], skipped: Skipped
    ) -> AsyncIterator[ObjectInfo]:
        """Go through the plain files of a folder with names of ours, in the order of these."""
        names = await self._threads.run(Call("list", folder, partial(os.listdir, folder)))
        names.sort()
        for begin in range(0, len(names), SCAN_FILES):
            part = names[begin : begin + SCAN_FILES]
            look = partial(_look, folder, [name for name in part if ours.fullmatch(name)])
            found = await self._threads.run(Call("stat", folder, look))
            for name in part:
                if name not in found:
                    skipped(f"{folder}/{name}")
                elif info := found[name]:
                    yield info

    def _open_in_place(self, name: str, start: int, length: int | None) -> FileReader | None:
        """Return None where that would have to wait, or fails."""
        try:
            return FileReader(name, start, length, self._threads).begin_cached()
        except StorageError:
            return None

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
    try:
        file.write_bytes(bytes(PAGE))
    finally:
        file.unlink(missing_ok=True)


def _look(folder: str, names: list[str]) -> "dict[str, ObjectInfo | None]":
    """Look plain files of a folder up, and nothing else; None for those that are deleted by now."""
    found: dict[str, ObjectInfo | None] = {}
    for name in names:
        try:
            status = os.lstat(f"{folder}/{name}")
        except FileNotFoundError:
            found[name] = None
        else:
            if S_ISREG(status.st_mode):
                found[name] = _info(name, status)
    return found


def _stat_file(name: str) -> os.stat_result:
    """Look a file up; what is none, such as a folder, counts as missing."""
    status = os.stat(name)  # noqa: PTH116 - a `Path` costs more than the look itself
    if not S_ISREG(status.st_mode):
        raise FileNotFoundError(ENOENT, "no plain file", name)
    return status


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
