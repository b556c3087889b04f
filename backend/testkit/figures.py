"""What reads the figures of a service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.cache.base import Cache
from app.database.engine import Database
from app.services.figures import FigureReader
from app.services.identity import StorageIdentity
from app.services.readiness import Readiness
from app.storage.base import StorageBackend


@asynccontextmanager
async def open_reader(
    database: Database, storage: StorageBackend, cache: Cache | None = None
) -> AsyncIterator[FigureReader]:
    """Yield a reader; at the end of the block, nothing that it began goes on."""
    readiness = Readiness(database, storage, StorageIdentity(database, storage), cache)
    reader = FigureReader(database, storage, cache, readiness)
    try:
        yield reader
    finally:
        await reader.close()
        await readiness.close()
