"""Deleting images: their rows, and then their files, thumbnails too (ADR 0003)."""

import asyncio
import logging
from collections.abc import Collection
from typing import Final
from uuid import UUID

from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import ImageNotFound, StorageError
from app.observability.reasons import reason
from app.services.changes import Changes
from app.services.images import REMEMBERED_SECONDS
from app.services.lease import Lease
from app.statements.images import delete_images
from app.storage.base import Moving, StorageBackend

FILES_AT_ONCE: Final = 16
"""How many files of a batch are removed concurrently, so that others need not wait for the disk
behind all of them."""

_log = logging.getLogger(__name__)


class Deletion:
    """Deletes images.

    Args:
        changes: Opens the transactions that delete rows.
        storage: Where the files are.
        lease: What a proxy in front has of each file; None where there is no such proxy.
    """

    def __init__(
        self, changes: Changes, storage: StorageBackend, lease: Lease | None = None
    ) -> None:
        self._changes = changes
        self._storage = storage
        self._is_moving = isinstance(storage, Moving)
        self._lease = lease

    async def delete(self, image_id: UUID, actor: Actor = ADMINISTRATOR) -> None:
        """Delete an image, as `delete_batch` does.

        Raises:
            ImageNotFound: If there is none with this id that the actor reaches.
            DatabaseUnavailable: As `delete_batch`.
        """
        if not await self.delete_batch([image_id], actor):
            raise ImageNotFound(image_id)

    async def delete_batch(
        self, image_ids: Collection[UUID], actor: Actor = ADMINISTRATOR
    ) -> set[UUID]:
        """Delete images that an actor reaches, in one transaction; return the ids of these.

        A file that cannot be removed is left behind and logged; its image is gone all the same.
        Where an image is not there, a proxy may still have it: of an earlier attempt that was not
        answered, and even was killed before it removed the file.

        Raises:
            DatabaseUnavailable: If the rows cannot be deleted, or it is unknown whether they were.
        """
        async with self._changes.of(image_ids) as session:
            keys = await delete_images(session, image_ids, actor.reached_owner)
        all_gone = await self._remove_all([(key, one) for one in keys for key in keys[one]])
        may_return = self._is_moving and bool(keys)
        if not all_gone or may_return or (self._lease and len(keys) < len(set(image_ids))):
            # Any server process that remembers an image would still send its file.
            await asyncio.sleep(REMEMBERED_SECONDS)
        if self._lease:
            await self._lease.wait()
        return set(keys)

    async def _remove_all(self, files: list[tuple[str, UUID]]) -> bool:
        """Remove files of deleted images; return whether all are certainly gone.

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
                "image %s is deleted, but its file %s may be left behind, which fsck will find: %s",
                image_id,
                key,
                reason(error),
            )
            return False
        return True
