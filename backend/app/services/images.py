"""Finding, listing and deleting images by their rows."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable, ImageNotFound, StorageError
from app.domain.image import Image, ImageDetails, Position
from app.domain.search import NO_FILTERS, Filters
from app.observability.reasons import reason
from app.runtime.batching import Batcher
from app.statements.images import delete_image, find_details, find_images
from app.statements.listing import list_images
from app.storage.base import StorageBackend

REMEMBERED_SECONDS: Final = 2.0
"""How long a process uses what it remembers of an image without asking the database again."""

_log = logging.getLogger(__name__)


class ImagePage(NamedTuple):
    """Some images, newest first, and the position after which the next page starts, if any."""

    items: Sequence[Image]
    next: Position | None


class Images:
    """The images that are stored.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage
        self._lookups = Batcher(self._find, refusal=DatabaseUnavailable)
        self._detailed_lookups = Batcher(self._find_details, refusal=DatabaseUnavailable)

    async def get(self, image_id: UUID) -> Image:
        """Return an image; those that are asked for at the same time share a statement.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the database cannot be asked.
        """
        image = await self._lookups.submit(image_id)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    async def details(self, image_id: UUID) -> ImageDetails:
        """Return an image with its metadata, as `get` returns it without."""
        details = await self._detailed_lookups.submit(image_id)
        if details is None:
            raise ImageNotFound(image_id)
        return details

    async def page(
        self, limit: int, after: Position | None, filters: Filters = NO_FILTERS
    ) -> ImagePage:
        """Return up to `limit` images that pass the filters, newest first, after a position.

        Raises:
            DatabaseUnavailable: If they cannot be read.
        """
        async with self._database.read() as session:
            rows = await list_images(session, limit + 1, after, filters)
        items = rows[:limit]
        more = len(rows) > limit
        return ImagePage(items, Position(items[-1].created_at, items[-1].id) if more else None)

    async def delete(self, image_id: UUID) -> None:
        """Delete an image: its row, and then its files, thumbnails too (ADR 0003).

        A file that cannot be removed is left behind and logged; the image is gone all the same.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the row cannot be deleted, or it is unknown whether it was.
        """
        async with self._database.write() as session:
            keys = await delete_image(session, image_id)
        if not keys:
            raise ImageNotFound(image_id)
        if not all(await asyncio.gather(*(self._remove(key, image_id) for key in keys))):
            # Any server process that remembers the image would still send the file.
            await asyncio.sleep(REMEMBERED_SECONDS)

    async def _remove(self, key: str, image_id: UUID) -> bool:
        """Remove a file of a deleted image; return whether it is certainly gone."""
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

    async def close(self) -> None:
        """Cancel statements that are in progress, so that their connections can be closed."""
        await self._lookups.drain(0)
        await self._detailed_lookups.drain(0)

    async def _find(self, image_ids: Sequence[UUID]) -> Sequence[Image | None]:
        async with self._database.read() as session:
            found = await find_images(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]

    async def _find_details(self, image_ids: Sequence[UUID]) -> Sequence[ImageDetails | None]:
        async with self._database.read() as session:
            found = await find_details(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]
