"""Deleting a user: what becomes of their images, and then the user with their keys.

Each step is a transaction of its own, and can be repeated: a worker that is killed in between
leaves to the next attempt what is left.
"""

from contextlib import suppress
from time import monotonic
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.actor import Actor
from app.domain.errors import StorageFull
from app.domain.job import DELETE_USER, NewJob, Priority
from app.domain.user import Deletion
from app.services.changes import Changes
from app.services.deletion import Deletion as ImageDeletion
from app.statements.jobs import insert_jobs
from app.statements.users import delete_user, disown_images, find_owned, find_user
from app.storage.base import StorageBackend

IMAGES_AT_ONCE: Final = 8
"""So many files are left without a row at most if the worker is killed; the nightly clean-up
removes as many without asking anybody."""
SLICE_SECONDS: Final = 20.0
"""After which the job is queued again, behind those that wait for this worker."""


class UserDeletion:
    """Deletes users, as their rows say.

    Args:
        database: Where they are.
        changes: Opens the transactions that let images be nobody's.
        images: Deletes images.
        storage: Where their files are.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        images: ImageDeletion,
        storage: StorageBackend,
    ) -> None:
        self._database = database
        self._changes = changes
        self._images = images
        self._storage = storage

    async def run(self, user_id: UUID) -> None:
        """Delete a user, or go on with it for some seconds and have the job executed once more.

        Raises:
            DatabaseUnavailable: If not all of it could be done.
            StorageUnavailable: The same.
        """
        end = monotonic() + SLICE_SECONDS
        while not await self._step(user_id):
            if monotonic() >= end:
                job = NewJob(DELETE_USER, str(user_id), Priority.BACKLOG)
                async with self._database.write() as session:
                    await insert_jobs(session, [job])
                return

    async def _step(self, user_id: UUID) -> bool:
        """Do a part of it; return whether that was the last."""
        async with self._database.read() as session:
            user = await find_user(session, user_id)
            image_ids = await find_owned(session, user_id, IMAGES_AT_ONCE)
        if user is None or user.deletion is None:
            return True
        if not image_ids:
            async with self._database.write() as session:
                # One may have been uploaded since, by a request that began before.
                return await delete_user(session, user_id)
        if user.deletion is Deletion.DELETE:
            # Or else all rows would go while it is unavailable, and leave their files behind.
            with suppress(StorageFull):  # which has room afterwards
                await self._storage.probe()
            await self._images.delete_batch(image_ids, Actor(user_id=user_id))
        else:
            async with self._changes.of(image_ids) as session:
                await disown_images(session, user_id, image_ids)
        return False
