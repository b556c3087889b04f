"""Objects as files of one folder.

    <root>/storage-id        the id of this storage
    <root>/staging/<key>     being written
    <root>/ab/ab3f….jpg      published; the first two characters of the key name the folder

Everything lies on one filesystem, so that publishing is a rename. Uploads are written by a process
of their own, so that nothing else waits behind their fsyncs when the disk is slow.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final
from uuid import uuid4

from app.domain.errors import ObjectNotFound
from app.observability.figures import Space
from app.observability.observer import SILENT, Observer
from app.runtime.expiring import ExpiringMap
from app.storage.abilities import Sharing
from app.storage.base import KEY, ObjectInfo, ObjectReader, Skipped, ignore, require_key
from app.storage.local.calls import Call
from app.storage.local.file_reader import FileReader, can_read_cached, can_send_cached
from app.storage.local.folder_scan import object_info, scan, stat_file
from app.storage.local.links import link_file
from app.storage.local.marking import MarkedFolder
from app.storage.local.sharing import NoExchange, are_one, compare, link_over
from app.storage.local.staged_file import StagedFile
from app.storage.local.threads import Threads
from app.storage.local.writer import Writer
from app.storage.local.writer_program import PAGE, sync_folder

THREADS: Final = 8
UPLOADS: Final = 1000
WARM_FILES: Final = 10_000
WARM_SECONDS: Final = 10.0
"""How many files, opened how recently, are expected to open without the disk."""
PROBE_SECONDS: Final = 3.0
"""How long the disk may take to show that it works: less than readiness may take to answer."""

_FOLDERS: Final = tuple(f"{number:02x}" for number in range(256))
_STAGED: Final = re.compile(rf"{KEY.pattern}|check-[0-9a-f]{{32}}(\.published)?")
"""Names of what is staged: an upload, or what `probe` writes."""


class LocalStorage(MarkedFolder):
    """A `StorageBackend` over a folder, which `prepare` makes when it first succeeds.

    From then on a missing folder is a failure: a volume that is not mounted must not be mistaken
    for an empty one.

    Args:
        root: The folder.
        threads: How many threads wait for the disk, for uploads and again for all else.
        uploads: How many objects may be written at once.
        observer: Told of the batches in which they are.
    """

    def __init__(
        self,
        root: Path,
        threads: int = THREADS,
        uploads: int = UPLOADS,
        observer: Observer = SILENT,
    ) -> None:
        super().__init__(root, Threads(threads, "storage"))
        self._staging = root / "staging"
        self._writer = Writer(threads, uploads, observer)
        self._warm = ExpiringMap[str, bool](WARM_FILES, WARM_SECONDS)
        self._is_prepared = False
        self._can_read_cached = False
        self._can_send_cached = False
        self._keeps_apart = False
        """Whether equal files cannot share their bytes here, so that comparing them is no use."""

    async def stage(self, key: str, content_type: str) -> StagedFile:  # noqa: ARG002 - in the row
        """Begin an object; its file is made with its first block."""
        await self.prepare()
        path = f"{self._staging}/{require_key(key)}"
        return StagedFile(path, self._name(key), self._writer, self._threads, self._proof)

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open a file and read the span's first block: in place if it is warm, else in a thread."""
        name = self._name(key)
        if self._warm.get(name):
            try:
                reader = self._reader(name, start, length).begin_cached()
            except OSError:
                reader = None  # a thread finds out why
            if reader:
                return reader

        def open_and_read() -> FileReader:
            return self._reader(name, start, length).begin()

        call = Call("open", name, open_and_read, undo=FileReader.close_here, of_object=True)
        opened = await self._run_on_object(call)
        if self._can_read_cached:
            self._warm.put(name, True, monotonic())  # noqa: FBT003 - a set of names
        return opened

    async def stat(self, key: str) -> ObjectInfo:
        """Return size and time of a file."""
        name = self._name(key)
        call = Call("stat", name, partial(stat_file, name), of_object=True)
        return object_info(key, await self._run_on_object(call))

    async def delete(self, key: str) -> None:
        """Remove a file, if need be once a hanging disk is back: its row is gone."""
        name = self._name(key)
        call = Call("unlink", name, partial(os.unlink, name), of_object=True, must_run=True)
        with suppress(ObjectNotFound):
            await self._run_on_object(call)

    async def link(self, key: str, new_key: str) -> bool:
        """Make a hard link, where the file system has them and this file has not too many."""
        name, new_name = self._name(key), self._name(new_key)

        def undo(is_linked: bool) -> None:  # noqa: FBT001 - the result
            if is_linked:
                Path(new_name).unlink(missing_ok=True)

        linked = Call("link", name, partial(link_file, name, new_name), undo=undo, of_object=True)
        return await self._run_on_object(linked)

    async def share(self, key: str, other: str) -> Sharing:
        """Make a file one more name of an equal one."""
        name, twin = self._name(key), self._name(other)
        await self.prepare()
        look = Call("stat", name, partial(are_one, name, twin), of_object=True)
        if await self._run_on_object(look):
            return Sharing.BEFORE
        if self._keeps_apart:
            return Sharing.IMPOSSIBLE
        position, is_compared = 0, False
        while not is_compared:
            read = Call("read", name, partial(compare, name, twin, position), of_object=True)
            end = await self._run_on_object(read)
            if end is None:
                return Sharing.DIFFERENT
            position, is_compared = end, not end
        link_it = partial(link_over, twin, name, f"{self._staging}/{uuid4().hex}")
        try:
            is_done = await self._run_on_object(Call("link", name, link_it, of_object=True))
        except NoExchange:
            self._keeps_apart = True
            return Sharing.IMPOSSIBLE
        return Sharing.DONE if is_done else Sharing.IMPOSSIBLE

    async def space(self) -> Space:
        """Return the room that the file system has, without what it reserves for root."""
        call = Call("statvfs", str(self._root), partial(os.statvfs, self._root))
        found = await self._threads.run(call)
        return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield all files, holding the names of one folder at a time."""
        for name in _FOLDERS:
            keys = re.compile(f"(?={name}){KEY.pattern}")
            async for info in scan(f"{self._root}/{name}", keys, skipped, self._threads):
                yield info

    def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield the files of the staging folder."""
        return scan(str(self._staging), _STAGED, skipped, self._threads)

    async def discard_staged(self, name: str) -> None:
        """Remove a file of the staging folder."""
        file = self._staging / Path(name).name
        await self._threads.run(Call("unlink", str(file), partial(file.unlink, missing_ok=True)))

    def locate(self, key: str) -> str:
        """Return the path of a file below the root."""
        return f"{require_key(key)[:2]}/{key}"

    async def prepare(self) -> None:
        """Make the folders, and write a file as uploads are written, with nothing left out."""
        if self._is_prepared:
            return
        await self._require_proof()
        await self._threads.run(Call("mkdir", str(self._root), self._make_folders))
        await self._write_as_uploads_are()
        self._is_prepared = True

    async def probe(self) -> None:
        """Write and remove a small file, and have the process that writes uploads answer.

        That does not queue behind uploads. While these fail, the file is written as they are.
        """
        await self.prepare()
        await self._require_proof()
        if self._writer.is_suspect:
            await self._write_as_uploads_are()
            return
        file = Path(self._probe_path())
        write = partial(_write_and_remove, file)
        await self._threads.run(Call("write", str(file), write, seconds=PROBE_SECONDS))
        await self._writer.probe()

    async def close(self) -> None:
        """End the process that writes uploads."""
        await self._writer.close()

    def _make_folders(self) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self._staging, *(self._root / name for name in _FOLDERS)):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self._root, self._root.parent):
            sync_folder(str(folder))

    async def _write_as_uploads_are(self) -> None:
        path = self._probe_path()
        staged = StagedFile(path, f"{path}.published", self._writer, self._threads, self._proof)
        try:
            await staged.write(bytes(PAGE))
            await staged.seal()
            call = Call("open", path, partial(can_read_cached, path))
            self._can_read_cached = await self._threads.run(call)
            if self._can_read_cached:
                call = Call("open", path, partial(can_send_cached, path))
                self._can_send_cached = await self._threads.run(call)
            await staged.publish()
        finally:
            await staged.discard()

    def _reader(self, name: str, start: int, length: int | None) -> FileReader:
        return FileReader(name, start, length, self._threads, can_send=self._can_send_cached)

    def _probe_path(self) -> str:
        return f"{self._staging}/check-{uuid4().hex}"

    def _name(self, key: str) -> str:
        return f"{self._root}/{self.locate(key)}"


def _write_and_remove(file: Path) -> None:
    try:
        file.write_bytes(bytes(PAGE))
    finally:
        file.unlink(missing_ok=True)
