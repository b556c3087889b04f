"""Requests that may be repeated, as the database knows them (ADR 0065)."""

from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from app.domain.image import Image

KEPT: Final = timedelta(hours=24)
"""For which a request is remembered at least; the next clean-up forgets it."""


class Claim(NamedTuple):
    """The right to carry out a request, until its lease ends and somebody else has claimed it."""

    sender: str
    """Whose key it is; the same key of another sender is another one."""
    key: str
    id: UUID
    """Of this attempt."""


class KeyedImage(NamedTuple):
    """A file that a request has stored."""

    fingerprint: bytes
    """SHA-256 of the file as it was sent, and of what was asked for it."""
    image_id: UUID
    image: Image | None
    """None = it has been deleted since."""


class KeptAnswer(NamedTuple):
    """What a request was answered when everything that it stores was stored."""

    fingerprint: bytes
    """SHA-256 of the fingerprints of its files."""
    status: int
    location: str | None
    body: bytes
