"""Statements on images of equal bytes, those whose rows have the same checksum."""

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import exists, func, select, text, tuple_

from app.database.engine import ReadSession
from app.models import IMAGES

# The index has them in this order, so each of the two reads one entry of it.
_EARLIER: Final = text("""
    SELECT image.storage_key, first.storage_key, latest.storage_key
    FROM images AS image,
         LATERAL (
             SELECT storage_key FROM images
             WHERE checksum = image.checksum AND (created_at, id) < (image.created_at, image.id)
             ORDER BY created_at, id LIMIT 1
         ) AS first,
         LATERAL (
             SELECT storage_key FROM images
             WHERE checksum = image.checksum AND (created_at, id) < (image.created_at, image.id)
             ORDER BY created_at DESC, id DESC LIMIT 1
         ) AS latest
    WHERE image.id = :image_id
""")


class EarlierEquals(NamedTuple):
    """The key of an image's file, and those of the first and the latest equal one before it."""

    key: str
    first: str
    latest: str


async def find_earlier_equals(session: ReadSession, image_id: UUID) -> EarlierEquals | None:
    """Find the files equal to that of an image that are older; None if there are none."""
    row = (await session.execute(_EARLIER, {"image_id": image_id})).one_or_none()
    return EarlierEquals(*row) if row else None


async def count_with_earlier_equals(session: ReadSession) -> int:
    """Count the images to which there are older ones of equal bytes, by an index scan."""
    beyond_the_first = select((func.count() - 1).label("images")).where(
        IMAGES.c.checksum.is_not(None)
    )
    sums = beyond_the_first.group_by(IMAGES.c.checksum).subquery()
    return int((await session.scalars(select(func.coalesce(func.sum(sums.c.images), 0)))).one())


async def list_with_earlier_equals(
    session: ReadSession, after: str, limit: int
) -> tuple[list[UUID], str | None]:
    """Read up to `limit` rows in the order of their keys, those after a key.

    Returns:
        The ids of those to which there are older ones of equal bytes, and the last key read; None
        if there is none after `after`.
    """
    earlier = IMAGES.alias("earlier")
    has_earlier = exists().where(
        earlier.c.checksum == IMAGES.c.checksum,
        tuple_(earlier.c.created_at, earlier.c.id) < tuple_(IMAGES.c.created_at, IMAGES.c.id),
    )
    page = select(IMAGES.c.id, IMAGES.c.storage_key, has_earlier).where(
        IMAGES.c.storage_key > after
    )
    rows = (await session.execute(page.order_by(IMAGES.c.storage_key).limit(limit))).all()
    return [row.id for row in rows if row[2]], rows[-1].storage_key if rows else None
