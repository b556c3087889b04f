"""The file by which a folder of images is recognised, so that no other is taken for it (ADR 27)."""

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from app.storage.base import Mark, is_key
from app.storage.local.writer_program import Proof, named, sync_folder

NAME: Final = "storage-id"

_UNCONFIRMED: Final = " unconfirmed"
_NO_MARK: Final = (
    "this is not the id of a storage; restore it from a backup, or, if the folder is that of the "
    'database, run `make fsck ARGS="--adopt-storage"`'
)


def proof_of(root: Path, storage_id: UUID) -> Proof:
    """Return the file that proves a storage, and what stands in it."""
    return Proof(f"{root}/{NAME}", _text(Mark(storage_id)))


def read_mark(root: Path) -> Mark | None:
    """Read the mark of a folder; None if it has none, or does not exist.

    Raises:
        OSError: If it cannot be read, or is not as it was written.
    """
    file = root / NAME
    try:
        with named("read", str(file)):
            text = file.read_text("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    first = text.removesuffix("\n")
    with suppress(ValueError):
        storage_id = UUID(first.removesuffix(_UNCONFIRMED))
        mark = Mark(storage_id, is_confirmed=not first.endswith(_UNCONFIRMED))
        if text == _text(mark):
            return mark
    raise OSError(errno.EBADMSG, _NO_MARK, str(file))


def write_mark(root: Path, mark: Mark) -> None:
    """Mark a folder, which is made if need be, for good.

    Raises:
        OSError: If it may not have been marked.
    """
    with named("mkdir", str(root)):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = root / f"{NAME}.{uuid4().hex}"  # its own, for several services may start at once
    try:
        with named("write", str(fresh)), fresh.open("w") as file:
            file.write(_text(mark))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(root / NAME)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(str(root))
    sync_folder(str(root.parent))


def holds_objects(root: Path) -> bool:
    """Return whether a folder holds the file of any image."""
    return any(is_key(file.name) for file in root.glob("[0-9a-f][0-9a-f]/*"))


def _text(mark: Mark) -> str:
    return f"{mark.storage_id}{'' if mark.is_confirmed else _UNCONFIRMED}\n"
