"""The file by which a folder of images is recognised, so that no other is taken for it (ADR 27)."""

import errno
import os
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from uuid import UUID, uuid4

from app.domain.errors import ObjectNotFound
from app.storage.abilities import Mark
from app.storage.base import is_key
from app.storage.local.calls import Call
from app.storage.local.threads import Threads
from app.storage.local.writer_program import Proof, named, require, sync_folder

NAME: Final = "storage-id"

_NO_MARK: Final = (
    "this is not the id of a storage; restore it from a backup, or, if the folder is that of the "
    'database, run `make fsck ARGS="--adopt-storage"`'
)

_Result = TypeVar("_Result")


class MarkedFolder:
    """A folder, and the proof that it is the right one."""

    def __init__(self, root: Path, threads: Threads) -> None:
        self._root = root
        self._threads = threads
        self._proof: Proof | None = None

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._root.absolute())

    async def read_mark(self) -> Mark | None:
        """Read the file that marks the folder."""
        root = self._root
        return await self._threads.run(Call("read", f"{root}/{NAME}", partial(read_mark, root)))

    async def write_mark(self, mark: Mark) -> None:
        """Write the file that marks the folder, which is made if need be."""
        root = self._root
        write = partial(write_mark, root, mark)
        await self._threads.run(Call("write", f"{root}/{NAME}", write))

    async def holds_objects(self) -> bool:
        """Look for a file in the folders that are there."""
        return await self._threads.run(Call("list", str(self._root), self._holds_objects))

    def _holds_objects(self) -> bool:
        return any(is_key(file.name) for file in self._root.glob("[0-9a-f][0-9a-f]/*"))

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while the folder has this mark."""
        self._proof = Proof(f"{self._root}/{NAME}", Mark(storage_id).text)

    async def _require_proof(self) -> None:
        if self._proof:
            await self._threads.run(Call("read", self._proof.path, partial(require, self._proof)))

    async def _run_on_object(self, call: Call[_Result]) -> _Result:
        """Make a call for which an object is missing only if the folder is the right one.

        Made once more where it is: a volume may have come back since the first call.
        """
        try:
            return await self._threads.run(call)
        except ObjectNotFound:
            await self._require_proof()
        return await self._threads.run(call)


def read_mark(root: Path) -> Mark | None:
    """Return the mark of a folder; None if it has none, or does not exist.

    Raises:
        OSError: If it cannot be read, or is not as it was written.
    """
    file = root / NAME
    try:
        text = file.read_text("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Mark.of_text(text)
    except ValueError:
        raise OSError(errno.EBADMSG, _NO_MARK, str(file)) from None


def write_mark(root: Path, mark: Mark) -> None:
    """Mark a folder, which is made if need be, durably.

    Raises:
        OSError: If it may not have been marked.
    """
    with named("mkdir", str(root)):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = root / f"{NAME}.{uuid4().hex}"  # its own, for several services may start at once
    try:
        with fresh.open("w") as file:
            file.write(mark.text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(root / NAME)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(str(root))
    sync_folder(str(root.parent))
