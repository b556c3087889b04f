"""The statement of readiness: whether the database can be used."""

from sqlalchemy import select

from app.database.engine import ReadSession
from app.models import IMAGES


async def require_writable_table(session: ReadSession) -> None:
    """Prove that the table is there with its columns, on a server that accepts writes.

    A server that is read-only refuses a lock, even of no row.
    """
    await session.execute(select(IMAGES).limit(0).with_for_update())
