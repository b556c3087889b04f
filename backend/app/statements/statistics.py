"""Statements of statistics: how often images are downloaded, by day."""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text

from app.database.engine import ReadSession, WriteSession

# Images that are being deleted are waited for, and then left out. They are locked in the order of
# their ids, as a delete locks them, so that neither waits for the other.
_ADD: Final = text("""
    WITH existing AS MATERIALIZED (
        SELECT id FROM images WHERE id = ANY(:ids) ORDER BY id FOR KEY SHARE
    )
    INSERT INTO image_statistics AS counted (image_id, day, downloads, bytes)
    SELECT id, day, downloads, bytes
    FROM unnest(CAST(:ids AS uuid[]), CAST(:days AS date[]), CAST(:downloads AS bigint[]),
                CAST(:bytes AS bigint[])) AS added(id, day, downloads, bytes)
         JOIN existing USING (id)
    ORDER BY id, day
    ON CONFLICT (image_id, day) DO UPDATE SET
        downloads = counted.downloads + excluded.downloads, bytes = counted.bytes + excluded.bytes
""")
_FIND: Final = text("""
    SELECT day, downloads, bytes, sum(downloads) OVER ()::bigint, sum(bytes) OVER ()::bigint
    FROM image_statistics WHERE image_id = :id ORDER BY day DESC LIMIT :limit
""")


class Day(NamedTuple):
    """The downloads of an image on a day, UTC."""

    day: date
    downloads: int
    bytes: int


class Totals(NamedTuple):
    """The downloads of an image on all days, and the last of these by themselves."""

    downloads: int
    bytes: int
    days: Sequence[Day]
    """Newest first; those on which there were any."""


async def add_downloads(session: WriteSession, counted: Sequence[tuple[UUID, Day]]) -> None:
    """Add to the downloads of images, each with a day once; images that there are not are left out.

    Others that add to those of the same images wait until the transaction ends.
    """
    parameters = {
        "ids": [image_id for image_id, _ in counted],
        "days": [day.day for _, day in counted],
        "downloads": [day.downloads for _, day in counted],
        "bytes": [day.bytes for _, day in counted],
    }
    await session.execute(_ADD, parameters)


async def find_downloads(session: ReadSession, image_id: UUID, limit: int) -> Totals:
    """Find the downloads of an image, up to `limit` days by themselves."""
    rows = (await session.execute(_FIND, {"id": image_id, "limit": limit})).all()
    downloads, size = rows[0][3:] if rows else (0, 0)
    return Totals(downloads, size, [Day(*row[:3]) for row in rows])
