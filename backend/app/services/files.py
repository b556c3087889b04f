"""Finding and opening the file of an image; one in demand is found without asking the database."""

import logging
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from app.domain.errors import ImageDamaged, ObjectNotFound, StorageError
from app.domain.image import Image
from app.runtime.expiring import ExpiringMap
from app.services.damage import DamageReports
from app.services.identity import StorageIdentity
from app.services.images import REMEMBERED_SECONDS, Images
from app.storage.base import ObjectReader, StorageBackend

HOT_FILES: Final = 10_000
"""How many files are remembered."""
DAMAGE_REPORTS: Final = 1_000
DAMAGE_REPORT_SECONDS: Final = 60.0
"""The log names a damaged image once within this time, and at most so many images."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class HotFile:
    """What is remembered of a file: whoever uses it must see that the file is still there."""

    image: Image
    description: object = None
    """For the caller, to keep what it derives from the image for as long as this is kept."""


class ImageFiles:
    """Opens the files of images.

    Args:
        images: Finds them.
        storage: Where the files are.
        identity: Makes sure that the storage is the right one, before a file counts as missing.
    """

    def __init__(self, images: Images, storage: StorageBackend, identity: StorageIdentity) -> None:
        self._images = images
        self._storage = storage
        self._identity = identity
        self._hot = ExpiringMap[UUID, HotFile](HOT_FILES, REMEMBERED_SECONDS)
        self._damage = DamageReports(DAMAGE_REPORTS, DAMAGE_REPORT_SECONDS)

    async def find(self, image_id: UUID) -> HotFile:
        """Return the image whose file is asked for, maybe from memory.

        What a file needs of its row never changes, and a delete is over only when the file is gone.
        So the caller must `open` the file, or `require_present`, before anything is said of it.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if known := self._hot.get(image_id):
            return known
        asked_at = monotonic()
        return self._hot.put(image_id, HotFile(await self._images.get(image_id)), asked_at)

    async def require_present(self, image: Image) -> None:
        """Make sure that an image was not deleted since it was found.

        Raises:
            ImageNotFound: If it was.
            DatabaseUnavailable: If neither its file nor the database shows whether it was.
        """
        try:
            reader = await self._storage.open(image.storage_key, 0, 0)
        except StorageError:
            await self._images.get(image.id)
        else:
            await reader.close()

    async def open(self, image: Image, start: int, length: int) -> ObjectReader:
        """Open `length` bytes of an image's file, from `start` on. The caller closes the reader.

        Raises:
            ImageNotFound: If the image was deleted since it was found.
            ImageDamaged: If the file is missing or has another length than the row says.
            StorageUnavailable: If it cannot be read.
        """
        try:
            reader = await self._storage.open(image.storage_key, start, length)
        except ObjectNotFound as error:
            await self._identity.require()
            raise await self._damaged(image, "is missing") from error
        if reader.size != image.file_size:
            await reader.close()
            raise await self._damaged(image, f"has {reader.size} bytes, not {image.file_size}")
        return reader

    async def _damaged(self, image: Image, finding: str) -> ImageDamaged:
        """Log what was found of an image's file, if it is due, and return the error to raise.

        Raises:
            ImageNotFound: If the image was deleted since, so that nothing is wrong.
            DatabaseUnavailable: If the database cannot be asked.
        """
        await self._images.get(image.id)
        if self._damage.is_due(image.id):
            _log.error("image %s is damaged: its file %s %s", image.id, image.storage_key, finding)
        return ImageDamaged(image.id)
