"""Hard links: another name for the bytes of a file, which stay until the last name is removed."""

import os
from errno import EACCES, EMLINK, EPERM
from pathlib import Path
from typing import Final

from app.storage.local.writer_program import UNSUPPORTED, sync_folder

_CANNOT_LINK: Final = UNSUPPORTED | {EACCES, EMLINK, EPERM}
"""Errors of a file that has as many names as it may have, or is another user's, as after a restore;
and of a file system without hard links."""


def add_name(file: str, name: str) -> bool:
    """Give a file one more name; return whether that was possible.

    Its time becomes the present one, or else fsck would take the name for what an old upload has
    left.

    Raises:
        OSError: If there is no such file, or the disk fails.
    """
    try:
        os.utime(file)
        os.link(file, name)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def link_file(file: str, name: str) -> bool:
    """Give a file one more name, durably; return whether that was possible.

    Raises:
        OSError: As `add_name`, or if the name may not be durable.
    """
    if not add_name(file, name):
        return False
    try:
        sync_folder(str(Path(name).parent))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
