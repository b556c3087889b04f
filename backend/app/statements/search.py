"""Statements on the terms by which images are found: the column `search`."""

from uuid import UUID

from sqlalchemy import select

from app.database.engine import WriteSession
from app.domain.metadata import Metadata, clean
from app.domain.search import terms_of
from app.models import IMAGES


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
