"""Making equal files share their bytes: names of one inode (ADR 66)."""

import os
from contextlib import suppress
from errno import ENOSYS
from typing import Final

from app.storage.local.links import add_name
from app.storage.local.writer_program import UNSUPPORTED, sync_folder

PIECE: Final = 256 * 1024
"""Bytes of each file that are in memory."""
PIECES_A_CALL: Final = 64
"""That are compared with one call, so that the disk may be slow."""

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


class NoExchange(Exception):
    """The file system cannot exchange names, whatever the files."""


def are_one(name: str, other: str) -> bool:
    """Return whether two names are those of one file."""
    return os.path.samefile(name, other)  # noqa: PTH121 - names are all that is needed here


def compare(name: str, other: str, begin: int) -> int | None:
    """Compare a part of two files.

    Returns:
        Where the next part begins; 0 after the last one; None if the files are not equal.
    """
    with open(name, "rb") as one, open(other, "rb") as two:  # noqa: PTH123 - names are strings
        if os.fstat(one.fileno()).st_size != os.fstat(two.fileno()).st_size:
            return None
        one.seek(begin)
        two.seek(begin)
        for _ in range(PIECES_A_CALL):
            piece = one.read(PIECE)
            if piece != two.read(PIECE):
                return None
            if not piece:
                return 0
        return one.tell()


def link_over(file: str, name: str, temporary: str) -> bool:
    """Make `name`, which is that of an equal file, one more name of `file`.

    The two names are exchanged and not renamed one over the other: a name that is being removed, or
    has just been, would be there again, and so the file of a deleted image.

    Args:
        file: What there is one more name of.
        name: What it is, also after a crash: either of this file or of the previous one.
        temporary: Exists only while this is done, and after a crash.

    Returns:
        Whether that was possible; if not, all is as it was.

    Raises:
        NoExchange: If it never is; the same.
        OSError: If one of the two is missing, or the disk fails.
    """
    if not add_name(file, temporary):
        return False
    try:
        exchange(temporary, name)
    except OSError as error:
        _remove(temporary)
        if error.errno in UNSUPPORTED:
            raise NoExchange from error
        raise
    # Before the last name of the previous bytes goes, for which a power cut may leave `name`.
    sync_folder(os.path.dirname(name))  # noqa: PTH120 - names are all that is needed here
    _remove(temporary)
    return True


def exchange(name: str, other: str) -> None:
    """Exchange two names in one step, by renameat2(2) of Linux.

    Raises:
        OSError: ENOENT if one of the two is missing; one of `UNSUPPORTED` where that is impossible.
    """
    import ctypes  # noqa: PLC0415 - of a worker, once there are equal files

    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        raise OSError(ENOSYS, os.strerror(ENOSYS), name)
    names = os.fsencode(name), os.fsencode(other)
    if library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name, None, other)


def _remove(temporary: str) -> None:
    """Remove a name, unless fsck has taken it for a leftover."""
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108 - names are all that is needed here
