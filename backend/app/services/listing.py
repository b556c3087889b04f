"""Listing images, newest first."""

from collections.abc import Sequence
from typing import NamedTuple

from app.database.engine import Database
from app.domain.image import Image, Position
from app.statements.images import list_images


class ImagePage(NamedTuple):
    """Some images, newest first, and the position after which the next page starts, if any."""

    items: Sequence[Image]
    next: Position | None


class Listing:
    """Lists images.

    Args:
        database: Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, limit: int, after: Position | None) -> ImagePage:
        """Return up to `limit` images, newest first, that come after a position.

        Raises:
            DatabaseUnavailable: If they cannot be read.
        """
        async with self._database.read() as session:
            rows = await list_images(session, limit + 1, after)
        items = rows[:limit]
        more = len(rows) > limit
        return ImagePage(items, Position(items[-1].created_at, items[-1].id) if more else None)
