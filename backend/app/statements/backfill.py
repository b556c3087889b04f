"""Statements of the backfill, which completes the rows of earlier versions."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    any_,
    bindparam,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.engine import ReadSession, WriteSession
from app.domain.image import IncompleteRow, Position
from app.models import IMAGES

_INCOMPLETE: Final = or_(IMAGES.c.checksum.is_(None), IMAGES.c.width.is_(None))


class FoundFacts(NamedTuple):
    """What was read from a file; None for what it does not say, or what was not asked."""

    id: UUID
    width: int | None
    height: int | None
    checksum: bytes | None
    truncated: bool | None


_FILLED_IN: Final = {
    name: func.coalesce(IMAGES.c[name], bindparam(f"new_{name}", type_=IMAGES.c[name].type))
    for name in FoundFacts._fields[1:]
}
_ROW: Final = IMAGES.c.id == bindparam("row_id")
_COMPLETE: Final = IMAGES.update().where(_ROW, _INCOMPLETE).values(_FILLED_IN)


async def count_incomplete(session: ReadSession) -> int:
    """Count the rows that lack something which can be read from their files, by a table scan."""
    query = select(func.count()).select_from(IMAGES).where(_INCOMPLETE)
    return (await session.scalars(query)).one()


async def list_incomplete(
    session: ReadSession | WriteSession, after: str, limit: int
) -> tuple[list[IncompleteRow], str | None]:
    """Read up to `limit` rows in the order of their keys, those after a key.

    However many are complete already, a statement reads no more than that.

    Returns:
        Those that lack something, and the last key read; None if there is none after `after`.
    """
    key = IMAGES.c.storage_key
    known = IMAGES.c["id", "storage_key", "content_type", "file_size"]
    query = select(*known, IMAGES.c.checksum.is_not(None), _INCOMPLETE)
    page = query.where(key > after).order_by(key).limit(limit)
    rows = (await session.execute(page)).all()
    incomplete = [IncompleteRow(*row[:5]) for row in rows if row[5]]
    return incomplete, rows[-1].storage_key if rows else None


async def complete_rows(session: WriteSession, found: Sequence[FoundFacts]) -> None:
    """Fill in what rows still lack, and change nothing else; deleted rows stay deleted.

    In the order of the ids, so that no two transactions that do this at once deadlock.
    """
    rows = [
        {"row_id": row.id} | {f"new_{name}": getattr(row, name) for name in _FILLED_IN}
        for row in sorted(found, key=attrgetter("id"))
    ]
    await (await session.connection()).execute(_COMPLETE, rows)


def _is_unrendered(sizes: Sequence[int]) -> ColumnElement[bool]:
    """Return whether a row lacks metadata, or thumbnails of some of the sizes that it can have.

    Metadata is recorded with a rendition, also where there can be none. So where it lacks, an
    earlier version rendered the image, which may have called a type broken that it did not know.
    """
    has_all = IMAGES.c.thumbnail_sizes.contains(literal([*sizes], IMAGES.c.thumbnail_sizes.type))
    lacks_some = and_(IMAGES.c.render_error.is_(None), not_(func.coalesce(has_all, false())))
    return or_(IMAGES.c.metadata.is_(None), lacks_some)


async def list_unrendered(
    session: ReadSession | WriteSession, sizes: Sequence[int], after: Position | None, limit: int
) -> tuple[list[UUID], Position | None]:
    """Read up to `limit` rows, newest first, that come after a position or from the newest on.

    Returns:
        The ids of those that lack metadata, or can be rendered and are not in all of these sizes;
        and the position of the last row read, None if there is none.
    """
    place = IMAGES.c["created_at", "id"]
    query = select(*place, _is_unrendered(sizes)).order_by(*(column.desc() for column in place))
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    rows = (await session.execute(query.limit(limit))).all()
    return [row.id for row in rows if row[2]], Position(*rows[-1][:2]) if rows else None


class RenderingState(NamedTuple):
    """How far the rendering of an image is."""

    id: UUID
    is_unrendered: bool
    is_failed: bool


async def find_rendering_states(
    session: ReadSession | WriteSession, sizes: Sequence[int], image_ids: Iterable[UUID]
) -> list[RenderingState]:
    """Find how far the rendering of images is; an id that no row has is left out."""
    ids = literal(list(image_ids), ARRAY(IMAGES.c.id.type))
    query = select(IMAGES.c.id, _is_unrendered(sizes), IMAGES.c.render_error.is_not(None))
    rows = await session.execute(query.where(IMAGES.c.id == any_(ids)))
    return [RenderingState(*row) for row in rows]
