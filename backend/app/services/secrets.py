"""Keys that this installation signs with: each for one purpose, from its database's secret.

A token for one purpose is worth nothing for another, and whoever has one key learns no other.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.statements.installation import read_secret

TOKEN_BYTES: Final = 16
"""128 bits, which nobody guesses."""


class Purpose(StrEnum):
    """What a key is for; the value is what it is derived by, so it never changes."""

    API_KEYS = "api keys"
    """Recognising API keys by their digests."""
    DELETION = "deletion"
    """Deleting an image without an API key."""
    ADDRESSES = "addresses"
    """Signing addresses of private images, where there is no SIGNING_KEY."""


class Secrets:
    """The keys of an installation. Its secret is read when the first of them is needed.

    Args:
        database: Has the secret, which never changes.
    """

    def __init__(self, database: Database, observer: Observer = SILENT) -> None:
        self._database = database
        self._reads = Batcher("secrets", self._read, refusal=DatabaseUnavailable, observer=observer)
        self._keys: dict[Purpose, bytes] = {}

    async def key(self, purpose: Purpose) -> bytes:
        """Return the key for a purpose, 32 bytes.

        Raises:
            DatabaseUnavailable: If the secret is needed for the first time, and cannot be read.
        """
        if purpose not in self._keys:
            secret = await self._reads.submit(None)
            self._keys = {each: digest_of(secret, each.encode()) for each in Purpose}
        return self._keys[purpose]

    async def close(self) -> None:
        """Cancel a statement that is in progress, so that its connection can be closed."""
        await self._reads.drain(0)

    async def _read(self, asked: Sequence[None]) -> Sequence[bytes]:
        async with self._database.read() as session:
            return [await read_secret(session)] * len(asked)


def digest_of(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of a message, 32 bytes."""
    return hmac.digest(key, message, "sha256")


def is_digest_of(key: bytes, message: bytes, digest: bytes) -> bool:
    """Return whether a digest is that of a message; how long it takes says nothing of either."""
    return hmac.compare_digest(digest_of(key, message), digest)


def sign(key: bytes, message: bytes) -> str:
    """Return a token that only this key makes of a message: 22 letters, digits, `-` and `_`."""
    return urlsafe_b64encode(digest_of(key, message)[:TOKEN_BYTES]).decode().rstrip("=")


def is_signed(key: bytes, message: bytes, token: str) -> bool:
    """Return whether a token is that of a message, in constant time; it may be any text at all."""
    return hmac.compare_digest(sign(key, message).encode(), token.encode(errors="replace"))
