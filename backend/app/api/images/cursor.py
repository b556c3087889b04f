"""The list's cursor: a position, opaque to clients and safe in a URL (ADR 0006)."""

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from app.domain.image import Position

_LAYOUT: Final = struct.Struct(">3sq16s")
_TAG: Final = b"im\x01"
"""Which list, sorted how; a cursor with another tag is refused."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class InvalidCursor(Exception):
    """The cursor is not one that this list has returned."""

    def __init__(self) -> None:
        super().__init__("The cursor is not valid; use the next_cursor of the page before.")


def encode_cursor(position: Position) -> str:
    """Return a position as 36 characters."""
    microseconds = (position.created_at - _EPOCH) // _MICROSECOND
    packed = _LAYOUT.pack(_TAG, microseconds, position.id.bytes)
    return urlsafe_b64encode(packed).decode("ascii")


def decode_cursor(cursor: str) -> Position:
    """Return the position that a cursor stands for.

    Raises:
        InvalidCursor: If `encode_cursor` cannot have written it.
    """
    try:
        tag, microseconds, image_id = _LAYOUT.unpack(urlsafe_b64decode(cursor.encode("ascii")))
        position = Position(_EPOCH + microseconds * _MICROSECOND, UUID(bytes=image_id))
    except (UnicodeEncodeError, binascii.Error, struct.error, OverflowError) as error:
        raise InvalidCursor from error
    if tag != _TAG or encode_cursor(position) != cursor:
        raise InvalidCursor
    return position
