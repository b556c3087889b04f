"""Finding the image that an upload would store once more."""

from app.database.engine import Database
from app.domain.errors import ObjectNotFound
from app.domain.image import ExistingImage, NewImage
from app.statements.images import find_equal
from app.storage.base import StorageBackend


class EqualImages:
    """Images of equal bytes.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        finds_unowned: Whether images that nobody owns are those of whoever uploads as nobody. Not
            where they are those of strangers.
    """

    def __init__(self, database: Database, storage: StorageBackend, *, finds_unowned: bool) -> None:
        self._database = database
        self._storage = storage
        self._finds_unowned = finds_unowned

    async def find(self, row: NewImage) -> ExistingImage | None:
        """Find an image with the bytes, the owner and the visibility of a new one.

        One whose file is missing or has another length is none.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
            StorageUnavailable: If the storage cannot be asked.
        """
        if row.checksum is None or not (row.owner_id or self._finds_unowned):
            return None
        async with self._database.read() as session:
            image = await find_equal(session, row.checksum, row.owner_id, is_public=row.is_public)
        if image is None:
            return None
        try:
            size = (await self._storage.stat(image.storage_key)).size
        except ObjectNotFound:
            return None
        return ExistingImage(*image) if size == image.file_size else None
