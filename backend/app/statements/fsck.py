"""Statements of fsck, which compares rows with files in the order of their keys."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import func, select

from app.database.engine import ReadSession
from app.domain.image import StoredFile
from app.domain.thumbnails import stem, thumbnail_keys
from app.models import IMAGES

_FILES: Final = select(
    *IMAGES.c["id", "storage_key", "file_size", "checksum", "thumbnail_sizes", "rendered_at"]
)


class Totals(NamedTuple):
    """How many images there are, and the bytes of their files."""

    images: int
    bytes: int


async def sum_up_images(session: ReadSession) -> Totals:
    """Sum all rows up, by a scan of the table."""
    query = select(func.count(), func.coalesce(func.sum(IMAGES.c.file_size), 0))
    images, size = (await session.execute(query)).one()
    return Totals(images, int(size))


async def list_files(session: ReadSession, after: str, limit: int) -> list[StoredFile]:
    """Read up to `limit` files in the order of their keys, those after a key ("" = the first)."""
    key = IMAGES.c.storage_key
    query = _FILES.where(key > after).order_by(key).limit(limit)
    return [_stored(row) for row in await session.execute(query)]


async def find_file(session: ReadSession, key: str) -> StoredFile | None:
    """Find what the row promises that names this original or thumbnail."""
    first = stem(key)
    beyond = f"{first}/"  # after the characters that may follow: "-" and "."
    query = _FILES.where(IMAGES.c.storage_key >= first, IMAGES.c.storage_key < beyond)
    files = [_stored(row) for row in await session.execute(query)]
    return next((file for file in files if key in {file.key, *file.thumbnails}), None)


def _stored(row: Sequence[Any]) -> StoredFile:
    image_id, key, size, checksum, *rendition = row
    return StoredFile(image_id, key, size, checksum, thumbnail_keys(key, *rendition))
