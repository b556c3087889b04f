"""Statements that list images, and count them, by what they have in common."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ColumnElement, bindparam, select, tuple_
from sqlalchemy.dialects.postgresql import TSQUERY

from app.database.engine import ReadSession
from app.domain.image import Image, Position
from app.domain.search import NO_FILTERS, Filters
from app.models import IMAGES

_NEWEST_FIRST: Final = select(*IMAGES.c[Image._fields]).order_by(
    IMAGES.c.created_at.desc(), IMAGES.c.id.desc()
)


async def list_images(
    session: ReadSession, limit: int, after: Position | None, filters: Filters = NO_FILTERS
) -> list[Image]:
    """Read up to `limit` rows, newest first, that come after a position or from the newest on."""
    query = _NEWEST_FIRST.where(*_conditions(filters)).limit(limit)
    if after is not None:
        query = query.where(tuple_(IMAGES.c.created_at, IMAGES.c.id) < tuple_(*after))
    return [Image(*row) for row in await session.execute(query)]


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    terms, content_type, since, before = filters
    if terms:
        query = " & ".join(f"'{term}':*" for term in terms)
        yield IMAGES.c.search.bool_op("@@")(bindparam("query", query, TSQUERY))
    if content_type:
        yield IMAGES.c.content_type == content_type
    if since:
        yield IMAGES.c.created_at >= since
    if before:
        yield IMAGES.c.created_at < before
