"""Links to private images, for people who have no key."""

from time import time
from typing import NamedTuple
from uuid import UUID

from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import ImageIsPublic
from app.services.images import Images
from app.services.signing import FILE, AddressSigner


class Link(NamedTuple):
    """What makes the address of a file a link."""

    query: str
    """What the address has after the question mark."""
    expires: int
    """Seconds since 1970."""


class Links:
    """Makes links.

    Args:
        images: Finds the rows.
        signer: Signs addresses.
    """

    def __init__(self, images: Images, signer: AddressSigner) -> None:
        self._images = images
        self._signer = signer

    async def make(self, image_id: UUID, seconds: int, actor: Actor = ADMINISTRATOR) -> Link:
        """Make a link to the file of a private image, good for so many seconds.

        Raises:
            ImageNotFound: If there is no image with this id that the actor reaches.
            ImageIsPublic: If it needs none.
            DatabaseUnavailable: If the row, or the key to sign with, cannot be read.
        """
        image = (await self._images.details(image_id, actor)).image
        if image.is_public:
            raise ImageIsPublic(image_id)
        expires = int(time()) + seconds
        return Link(await self._signer.sign(image, FILE, expires), expires)
