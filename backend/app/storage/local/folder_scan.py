"""Plain files of a folder, and what is known of them."""

import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from errno import ENOENT
from functools import partial
from stat import S_ISREG
from typing import Final

from app.storage.base import ObjectInfo, Skipped
from app.storage.local.calls import Call
from app.storage.local.threads import Threads

FILES_A_CALL: Final = 200
"""Files that are looked at with one call, so that a large folder takes many."""


async def scan(
    folder: str, names_wanted: re.Pattern[str], skipped: Skipped, threads: Threads
) -> AsyncIterator[ObjectInfo]:
    """Yield the plain files of a folder with matching names, in the order of these.

    Raises:
        StorageUnavailable: If they cannot all be listed.
    """
    names = await threads.run(Call("list", folder, partial(os.listdir, folder)))
    names.sort()
    for begin in range(0, len(names), FILES_A_CALL):
        part = names[begin : begin + FILES_A_CALL]
        look = partial(_stat_all, folder, [name for name in part if names_wanted.fullmatch(name)])
        found = await threads.run(Call("stat", folder, look))
        for name in part:
            if name not in found:
                skipped(f"{folder}/{name}")
            elif info := found[name]:
                yield info


def stat_file(name: str) -> os.stat_result:
    """Return the status of a plain file.

    Raises:
        OSError: If there is none; what is there instead, such as a folder, counts as missing.
    """
    status = os.stat(name)  # noqa: PTH116 - a `Path` costs more than the call
    if not S_ISREG(status.st_mode):
        raise FileNotFoundError(ENOENT, "no plain file", name)
    return status


def object_info(key: str, status: os.stat_result) -> ObjectInfo:
    """Return what is known of an object from its file's status."""
    return ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _stat_all(folder: str, names: list[str]) -> "dict[str, ObjectInfo | None]":
    """Return plain files of a folder, and nothing else; None for those deleted since."""
    found: dict[str, ObjectInfo | None] = {}
    for name in names:
        try:
            status = os.lstat(f"{folder}/{name}")
        except FileNotFoundError:
            found[name] = None
        else:
            if S_ISREG(status.st_mode):
                found[name] = object_info(name, status)
    return found
