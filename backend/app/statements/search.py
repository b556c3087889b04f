"""Statements on the terms by which images are found: the column `search`."""

from typing import Final
from uuid import UUID

from sqlalchemy import any_, bindparam, column, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

from app.database.engine import ReadSession, WriteSession
from app.domain.metadata import Metadata, clean
from app.domain.search import terms_of
from app.models import IMAGES

_ID: Final = IMAGES.c.id.type
_MADE: Final = (
    func.unnest(bindparam("ids", type_=ARRAY(_ID)), bindparam("made", type_=ARRAY(TSVECTOR)))
    .table_valued(column("id", _ID), column("search", TSVECTOR))
    .render_derived()
)
_MAKE: Final = IMAGES.update().where(IMAGES.c.id == _MADE.c.id).values(search=_MADE.c.search)


def search_of(filename: str, metadata: Metadata | None) -> str:
    """Return the terms of an image as a `tsvector`; they hold no quotes and no backslashes."""
    return " ".join(f"'{term}'" for term in terms_of(filename, metadata))


async def renewed_search(
    session: WriteSession,
    image_id: UUID,
    *,
    filename: str | None = None,
    metadata: Metadata | None = None,
) -> str | None:
    """Lock a row, and return its `search` for a change in the same transaction.

    So nobody changes name or metadata in between, of which it is made.

    Args:
        session: The transaction.
        image_id: Which row.
        filename: Its new name; None if it keeps its name.
        metadata: What was extracted; it counts only if the row has none, which stays.

    Returns:
        The column's new value; None if there is no row.
    """
    known = select(IMAGES.c.filename, IMAGES.c.metadata).where(IMAGES.c.id == image_id)
    row = (await session.execute(known.with_for_update())).one_or_none()
    if row is None:
        return None
    return search_of(filename or row[0], clean(metadata if row[1] is None else row[1]))


async def count_without_terms(session: ReadSession) -> int:
    """Count the rows without terms, by a table scan."""
    query = select(func.count()).select_from(IMAGES).where(IMAGES.c.search.is_(None))
    return (await session.scalars(query)).one()


async def make_terms(session: WriteSession, after: str, limit: int) -> tuple[int, str | None]:
    """Make the terms of rows without, among up to `limit` rows that come after a storage key.

    Rows are locked in the order of their ids, so that no two transactions that do this at once
    deadlock.

    Returns:
        How many; and the last key read, None if there is none after `after`.
    """
    key = IMAGES.c.storage_key
    page = select(IMAGES.c.id, key, IMAGES.c.search.is_(None)).where(key > after)
    rows = (await session.execute(page.order_by(key).limit(limit))).all()
    made: dict[UUID, str] = {}
    if ids := [row.id for row in rows if row[2]]:
        without = select(*IMAGES.c["id", "filename", "metadata"]).where(
            IMAGES.c.id == any_(literal(ids, ARRAY(_ID))), IMAGES.c.search.is_(None)
        )
        locked = await session.execute(without.order_by(IMAGES.c.id).with_for_update())
        made = {image_id: search_of(name, clean(found)) for image_id, name, found in locked}
        await session.execute(_MAKE, {"ids": [*made], "made": [*made.values()]})
    return len(made), rows[-1].storage_key if rows else None
