"""Deleting an image: its row, and then its file (ADR 0003)."""

import asyncio
import logging
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import ImageNotFound, StorageError
from app.observability.reasons import reason
from app.services import hot_files
from app.statements.images import delete_image
from app.storage.base import StorageBackend

_log = logging.getLogger(__name__)


class Deletion:
    """Deletes images.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage

    async def delete(self, image_id: UUID) -> None:
        """Delete an image.

        A file that cannot be removed is left behind and logged; the image is gone all the same.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the row cannot be deleted, or it is unknown whether it was.
        """
        async with self._database.write() as session:
            key = await delete_image(session, image_id)
        if key is None:
            raise ImageNotFound(image_id)
        try:
            await self._storage.delete(key)
        except StorageError as error:
            _log.error(
                "image %s is deleted, but its file %s may be left behind, which fsck will find: %s",
                image_id,
                key,
                reason(error),
            )
            # Any worker that remembers the image would still send the file.
            await asyncio.sleep(hot_files.SECONDS)
