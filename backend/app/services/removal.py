"""Removing files that no row names any more, until nobody serves them (ADR 0003)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.domain.errors import StorageError
from app.observability.reasons import reason
from app.services.images import REMEMBERED_SECONDS
from app.services.lease import Lease
from app.storage.abilities import Moving
from app.storage.base import StorageBackend

FILES_AT_ONCE: Final = 16
"""How many files of a batch are removed concurrently, so that others need not wait for the disk
behind all of them."""

_log = logging.getLogger(__name__)


class Removal:
    """Removes files of images.

    Args:
        storage: Where the files are.
        lease: What a proxy in front has of each file; None where there is no such proxy.
    """

    def __init__(self, storage: StorageBackend, lease: Lease | None = None) -> None:
        self._storage = storage
        self._is_moving = isinstance(storage, Moving)
        self._lease = lease

    @property
    def has_front(self) -> bool:
        """Whether a proxy in front may have files that the storage has no more."""
        return self._lease is not None

    async def remove(
        self, files: Sequence[tuple[str, UUID]], *, may_be_remembered: bool = False
    ) -> None:
        """Remove files, and wait until neither a server process nor a proxy serves them.

        One that cannot be removed is left behind and logged.

        Args:
            files: Each key, and the id of its image, after the commit.
            may_be_remembered: Whether there may be others, of an earlier attempt that was killed.
        """
        all_gone = await self.remove_all(files)
        if not all_gone or may_be_remembered or (self._is_moving and files):
            # Any server process that remembers an image would still send its file.
            await asyncio.sleep(REMEMBERED_SECONDS)
        if self._lease:
            await self._lease.wait()

    async def remove_all(self, files: Sequence[tuple[str, UUID]]) -> bool:
        """Remove files that nobody knows; return whether all are certainly gone.

        Once one cannot be removed, all others are tried at once: a storage that hangs would take
        its timeout for each group of them.
        """
        all_gone = True
        while files:
            group = files[:FILES_AT_ONCE] if all_gone else files
            files = files[len(group) :]
            gone = await asyncio.gather(*(self._remove(*file) for file in group))
            all_gone = all_gone and all(gone)
        return all_gone

    async def _remove(self, key: str, image_id: UUID) -> bool:
        """Remove a file; return whether it is certainly gone."""
        try:
            await self._storage.delete(key)
        except StorageError as error:
            _log.error(
                "image %s needs its file %s no more, but that may be left behind, which fsck will "
                "find: %s",
                image_id,
                key,
                reason(error),
            )
            return False
        return True
