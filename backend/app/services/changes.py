"""Changing the rows of images so that no cache gives an old one after the answer (ADR 50).

Everything that updates or deletes a row does so here. Inserting needs no invalidation, for what is
not there is not cached; nor does a column that is not part of `ImageDetails`.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final
from uuid import UUID

from app.cache.base import Cache
from app.database.engine import Database, WriteSession
from app.domain.errors import CacheUnavailable
from app.domain.job import INVALIDATE, NewJob
from app.services.cached_rows import key_of
from app.services.trust import TRUST_SECONDS
from app.statements.jobs import insert_jobs, take_invalidations

SECONDS_BEFORE: Final = 30
"""How long no row is filled in, from before the transaction: longer than that takes, with its
statements, a lock that they wait for and the commit."""
SECONDS_AFTER: Final = 10
"""The same, from after the commit: longer than a reader may take from its look-up to its fill."""
WAIT_SECONDS: Final = TRUST_SECONDS + 0.2
"""After it, no process uses what the cache has of a row that is to be invalidated by a job; with
a margin, for clocks do not all run at the same rate."""

MOST_AT_ONCE: Final = 500
"""Rows that a job invalidates beside its own, within the deadline of one operation."""


class Changes:
    """Opens the transactions that change rows.

    Args:
        database: Where the rows are.
        cache: Has some of them, maybe; None where there is no cache.
    """

    def __init__(self, database: Database, cache: Cache | None) -> None:
        self._database = database
        self._cache = cache

    def of(
        self, image_ids: Collection[UUID], *, is_awaited: bool = True
    ) -> AbstractAsyncContextManager[WriteSession]:
        """Open a transaction that may change these rows, as `Database.write`.

        Args:
            image_ids: Which rows.
            is_awaited: Whether somebody counts on the change as soon as the block has ended. Else
                it may be seen up to `WAIT_SECONDS` later while the cache is unavailable.

        Raises:
            DatabaseUnavailable: As `Database.write`; also if the cache was unavailable and no job
                could be inserted that invalidates the rows.
        """
        if self._cache is None or not image_ids:
            return self._database.write()
        return self._change(self._cache, image_ids, is_awaited=is_awaited)

    async def invalidate(self, image_id: UUID) -> None:
        """Invalidate a row, after a change that could not, and others for which there are jobs.

        So a long outage, which leaves many, is made up for by few.

        Raises:
            CacheUnavailable: If the row may still be in the cache as it was.
            DatabaseUnavailable: If it is unknown for which others there are jobs.
        """
        if self._cache is None:
            return
        await self._cache.invalidate([key_of(image_id)], SECONDS_AFTER)
        async with self._database.write() as session:
            others = await take_invalidations(session, MOST_AT_ONCE)
            # In the transaction, so that nothing is lost; the cache answers soon or not at all.
            await self._cache.invalidate([*map(key_of, others)], SECONDS_AFTER)

    @asynccontextmanager
    async def _change(
        self, cache: Cache, image_ids: Collection[UUID], *, is_awaited: bool
    ) -> AsyncIterator[WriteSession]:
        keys = [key_of(image_id) for image_id in image_ids]
        jobs = [NewJob(INVALIDATE, str(one)) for one in image_ids]
        # If this process is killed after the commit, the rows are invalidated already.
        has_jobs = not await _invalidate(cache, keys, SECONDS_BEFORE)
        async with self._database.write() as session:
            yield session
            if has_jobs:
                await insert_jobs(session, jobs)
        # Again: a cache that has lost its data since may have been filled with the previous rows.
        if await _invalidate(cache, keys, SECONDS_AFTER):
            return
        if not has_jobs:
            async with self._database.write() as session:
                await insert_jobs(session, jobs)
        if is_awaited:
            await asyncio.sleep(WAIT_SECONDS)


async def _invalidate(cache: Cache, keys: Collection[str], seconds: int) -> bool:
    """Invalidate rows; return whether that was certainly done."""
    try:
        await cache.invalidate([*keys], seconds)
    except CacheUnavailable:
        return False
    return True
