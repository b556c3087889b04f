"""Addresses of private images that are signed, and expire: `<img>` can send no key (ADR 62).

Signed are the key under which the file is stored, which is another one after each change of the
image's visibility, the variant (the file, or a thumbnail by its size) and when the address expires.
"""

from collections.abc import Iterable, Mapping
from time import time
from typing import Final, NamedTuple
from urllib.parse import urlencode

from app.domain.image import Image
from app.domain.thumbnails import stem
from app.services.secrets import Purpose, Secrets, is_signed, sign

ROUNDED_SECONDS: Final = 3600
"""When addresses in answers expire is a multiple of this: they stay the same for as long, so that
browsers can cache what is there."""
OWN_KEY: Final = "0"
"""The id of the key that is derived from the installation's secret."""
FILE: Final = "file"
"""The variant that is the original."""


class Signature(NamedTuple):
    """What an address has in its query; as it was sent, so it may be anything."""

    expires: str
    """Seconds since 1970."""
    key: str
    """The id of the key that it was signed with."""
    signature: str


class AddressSigner:
    """Signs addresses, and recognises those that it has signed.

    Args:
        secrets: Has the key where there are no others.
        keys: Secrets by their ids; the first signs, and all are recognised.
    """

    def __init__(self, secrets: Secrets, keys: Mapping[str, bytes]) -> None:
        self._secrets = secrets
        self._keys = keys

    async def sign(self, image: Image, variant: str, expires: int) -> str:
        """Return the query of an address that expires at a second since 1970.

        Raises:
            DatabaseUnavailable: If the key must be read from the database, and cannot.
        """
        key_id = next(iter(self._keys), OWN_KEY)
        secret = await self._key(key_id)
        assert secret  # noqa: S101 - there is one of this id
        message = _message(stem(image.storage_key), variant, str(expires))
        signature = sign(secret, message)
        return urlencode(Signature(str(expires), key_id, signature)._asdict())

    async def queries(self, image: Image, sizes: Iterable[int]) -> dict[str, str]:
        """Return the queries of the addresses of an image, by variant; none of a public image.

        They are good for one to two hours.

        Raises:
            DatabaseUnavailable: As `sign`.
        """
        if image.is_public:
            return {}
        expires = (int(time()) // ROUNDED_SECONDS + 2) * ROUNDED_SECONDS
        return {one: await self.sign(image, one, expires) for one in (FILE, *map(str, sizes))}

    async def is_valid(self, key: str, variant: str, sent: Signature) -> bool:
        """Return whether an address was signed for this file, and has not expired.

        Args:
            key: The storage key of the file, or of the thumbnail.
            variant: Which of the two, as the address has it.
            sent: What the address has in its query.

        Raises:
            DatabaseUnavailable: As `sign`.
        """
        secret = await self._key(sent.key)
        if not secret or not is_signed(
            secret, _message(stem(key), variant, sent.expires), sent.signature
        ):
            return False
        return int(sent.expires) > time()

    async def _key(self, key_id: str) -> bytes | None:
        """Return a key by its id, if there is one.

        That of the installation is not used where others are set: whoever sets these may want to
        end all addresses.
        """
        if self._keys:
            return self._keys.get(key_id)
        return await self._secrets.key(Purpose.ADDRESSES) if key_id == OWN_KEY else None


def _message(stem: str, variant: str, expires: str) -> bytes:
    return f"{stem}/{variant}?{expires}".encode(errors="replace")
