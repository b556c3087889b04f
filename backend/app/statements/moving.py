"""The statement of a move, which compares what it copies with the rows."""

from collections.abc import Collection

from sqlalchemy import select

from app.database.engine import ReadSession
from app.models import IMAGES


async def read_checksums(session: ReadSession, keys: Collection[str]) -> dict[str, bytes]:
    """Read the SHA-256 of originals, by their keys; of those that have one."""
    key, checksum = IMAGES.c.storage_key, IMAGES.c.checksum
    query = select(key, checksum).where(key.in_(keys), checksum.is_not(None))
    return {row.storage_key: row.checksum for row in await session.execute(query)}
