"""Thumbnails: smaller renditions of an image, which can be made again at any time."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

CONTENT_TYPE: Final = "image/webp"
EXTENSION: Final = ".webp"
MAX_RENDER_ERROR: Final = 200
"""Characters of the sentence that says why an image cannot be rendered."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def fit(width: int, height: int, size: int) -> tuple[int, int]:
    """Return an image's width and height, in pixels, when its longest side is at most `size`."""
    longest = max(width, height)
    if longest <= size:
        return width, height
    scale = size / longest
    return round(width * scale) or 1, round(height * scale) or 1


def thumbnail_key(storage_key: str, size: int, rendered_at: datetime) -> str:
    """Return the key of a thumbnail.

    It begins as that of the original, so that storages list the two together. Each rendering has
    keys of its own, because a key is used for one object only, ever.
    """
    return f"{stem(storage_key)}-{size}-{(rendered_at - _EPOCH) // _MICROSECOND:x}{EXTENSION}"


def thumbnail_keys(
    storage_key: str, sizes: Iterable[int] | None, rendered_at: datetime | None
) -> list[str]:
    """Return the keys of all thumbnails of an image, none before it is rendered."""
    if sizes is None or rendered_at is None:
        return []
    return [thumbnail_key(storage_key, size, rendered_at) for size in sizes]


def is_thumbnail(key: str) -> bool:
    """Return whether a storage key is that of a thumbnail."""
    return "-" in key


def stem(key: str) -> str:
    """Return what the keys of an original and its thumbnails begin with, and no other key does."""
    return key.partition(".")[0].partition("-")[0]
