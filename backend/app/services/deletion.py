"""Deleting images: their rows, and then their files, thumbnails too (ADR 0003)."""

from collections.abc import Collection
from uuid import UUID

from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import ImageNotFound
from app.observability.observer import SILENT, Observer
from app.services.changes import Changes
from app.services.removal import Removal
from app.statements.images import delete_images


class Deletion:
    """Deletes images.

    Args:
        changes: Opens the transactions that delete rows.
        removal: Removes their files.
        observer: Told how many.
    """

    def __init__(self, changes: Changes, removal: Removal, observer: Observer = SILENT) -> None:
        self._changes = changes
        self._removal = removal
        self._observer = observer

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
        self._observer.deletion(len(keys))
        are_missing = len(keys) < len(set(image_ids))
        await self._removal.remove(
            [(key, one) for one in keys for key in keys[one]],
            may_be_remembered=self._removal.has_front and are_missing,
        )
        return set(keys)
