"""Statements of fsck, which compares rows with files in the order of their keys."""

from typing import Final, NamedTuple

from sqlalchemy import func, select

from app.database.engine import ReadSession, WriteSession
from app.domain.image import StoredFile
from app.models import IMAGES

_FILES: Final = select(*IMAGES.c["storage_key", "file_size", "checksum"])


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
    return [StoredFile(*row) for row in await session.execute(query)]


async def find_file(session: ReadSession, key: str) -> StoredFile | None:
    """Find what the row with this storage key promises."""
    row = (await session.execute(_FILES.where(IMAGES.c.storage_key == key))).one_or_none()
    return StoredFile(*row) if row else None


async def delete_image_by_key(session: WriteSession, key: str) -> None:
    """Delete the row with this storage key, if there is one."""
    await session.execute(IMAGES.delete().where(IMAGES.c.storage_key == key))
