"""Statements that list images, and count them, by what they have in common.

A search for terms reads a bounded number of the newest rows first, and only then what the index of
the terms has. PostgreSQL can but guess how many rows have a term: left to itself, it walks over all
of a million for a rare one, or sorts half of them for a frequent one (ADR 45).
"""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, bindparam, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import TSQUERY

from app.database.engine import ReadSession
from app.domain.image import Image, Position
from app.domain.search import NO_FILTERS, Filters
from app.models import IMAGES

NEWEST_ROWS: Final = 5_000
"""Rows that a search reads before it asks the index of the terms: a few milliseconds."""


async def list_images(
    session: ReadSession, limit: int, after: Position | None, filters: Filters = NO_FILTERS
) -> list[Image]:
    """Read up to `limit` rows, newest first, that come after a position or from the newest on."""
    conditions = [*_conditions(filters)]
    if after is not None:
        conditions.append(tuple_(IMAGES.c.created_at, IMAGES.c.id) < tuple_(*after))
    if not filters.terms:
        return await _images(session, IMAGES, limit, *conditions)
    query = select(*IMAGES.c[*Image._fields, "search"]).where(*conditions)
    newest = _newest_first(query, IMAGES).limit(NEWEST_ROWS).subquery()
    images = await _images(session, newest, limit, _has_terms(newest, filters))
    if len(images) == limit:
        return images
    # OFFSET keeps the ORDER BY apart, for which another index would be taken.
    found = query.where(_has_terms(IMAGES, filters)).offset(literal(0)).subquery()
    return await _images(session, found, limit)


async def count_images(session: ReadSession, most: int, filters: Filters = NO_FILTERS) -> int:
    """Count the rows that pass filters, up to `most`."""
    query = select(literal(1)).select_from(IMAGES).where(*_conditions(filters))
    if filters.terms:
        # A plan for all rows, of which no more than these are read.
        found = query.where(_has_terms(IMAGES, filters)).cte().prefix_with("MATERIALIZED")
        query = select(literal(1)).select_from(found)
    else:
        query = _newest_first(query, IMAGES)
    counted = select(func.count()).select_from(query.limit(most).subquery())
    return (await session.scalars(counted)).one()


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    _, content_type, since, before, checksum, owner_id = filters
    if owner_id:
        yield IMAGES.c.owner_id == owner_id
    if checksum:
        yield IMAGES.c.checksum == checksum
    if content_type:
        yield IMAGES.c.content_type == content_type
    if since:
        yield IMAGES.c.created_at >= since
    if before:
        yield IMAGES.c.created_at < before


def _has_terms(rows: FromClause, filters: Filters) -> ColumnElement[bool]:
    query = " & ".join(f"'{term}':*" for term in filters.terms)
    return rows.c.search.bool_op("@@")(bindparam("terms", query, TSQUERY))


def _newest_first(query: Select[Any], rows: FromClause) -> Select[Any]:
    return query.order_by(rows.c.created_at.desc(), rows.c.id.desc())


async def _images(
    session: ReadSession, rows: FromClause, limit: int, *conditions: ColumnElement[bool]
) -> list[Image]:
    query = _newest_first(select(*rows.c[Image._fields]).where(*conditions), rows)
    return [Image(*row) for row in await session.execute(query.limit(limit))]
