"""Finding one image; those that are asked for at the same time share a statement."""

from collections.abc import Sequence
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import ImageNotFound
from app.domain.image import Image
from app.services.batched_statements import batched
from app.statements.images import find_images


class ImageLookup:
    """Finds images by their ids.

    Args:
        database: Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lookups = batched(self._find)

    async def get(self, image_id: UUID) -> Image:
        """Return an image.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the database cannot be asked.
        """
        image = await self._lookups.submit(image_id)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    async def _find(self, image_ids: Sequence[UUID]) -> Sequence[Image | None]:
        async with self._database.read() as session:
            found = await find_images(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]
