"""Hard links: another name for the bytes of a file, which stay until the last name is removed."""

import os
from errno import EMLINK, EPERM
from pathlib import Path
from typing import Final

from app.storage.local.writer_program import UNSUPPORTED, sync_folder

_UNLINKABLE: Final = UNSUPPORTED | {EMLINK, EPERM}
"""Errors of a file that has as many names as it can, and of a file system without hard links."""


def link_file(name: str, new_name: str) -> bool:
    """Give a file a second name, durably; return whether that was possible.

    Its time becomes the present one, or else fsck would take the new name for an old leftover
    before a row has it.

    Raises:
        OSError: If there is no such file, or the new name may not be durable.
    """
    os.utime(name)
    try:
        os.link(name, new_name)
    except OSError as error:
        if error.errno in _UNLINKABLE:
            return False
        raise
    try:
        sync_folder(str(Path(new_name).parent))
    except BaseException:
        Path(new_name).unlink(missing_ok=True)
        raise
    return True
