"""Tokens that delete an image without an API key: whoever uploaded it has the one of it.

They are not stored: each is made of the image's id and a key of the installation. So there is none
to look up, and none to remove with the image.
"""

from typing import Final
from uuid import UUID

from app.domain.actor import Actor, Right
from app.domain.errors import ImageNotFound
from app.services.secrets import Purpose, Secrets, is_signed, sign

_HOLDER: Final = Actor(frozenset({Right.DELETE}), reaches_all=True)


class DeleteTokens:
    """Makes the tokens, and recognises them.

    Args:
        secrets: Has the key.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    async def prepare(self) -> None:
        """Make sure that a token can be made, before there is an image that needs one.

        Raises:
            DatabaseUnavailable: If none can, since the key cannot be read.
        """
        await self._secrets.key(Purpose.DELETION)

    async def of(self, image_id: UUID) -> str:
        """Return the token of an image.

        Raises:
            DatabaseUnavailable: As `prepare`, without which it was asked for.
        """
        return sign(await self._secrets.key(Purpose.DELETION), image_id.bytes)

    async def holder(self, image_id: UUID, token: str) -> Actor:
        """Return whoever has the token of an image: they may delete this one.

        Raises:
            ImageNotFound: If it is not the token of this image.
            DatabaseUnavailable: As `prepare`.
        """
        if not is_signed(await self._secrets.key(Purpose.DELETION), image_id.bytes, token):
            raise ImageNotFound(image_id)
        return _HOLDER
