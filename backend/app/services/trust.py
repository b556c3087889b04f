"""Which rows a process may take from the cache: the database says which it may not.

A change whose invalidation did not reach the cache leaves a job. Another process may reach a cache
that the process of the change does not. So each asks for these jobs, again and again, and uses the
cache for a short time after each answer only (ADR 50).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.statements.jobs import find_rows_to_invalidate

TRUST_SECONDS: Final = 2.0
"""How long a process uses the cache after it began to ask."""
QUESTION_SECONDS: Final = 1.0
"""From the start of one question to that of the next."""
MOST_PENDING: Final = 1_000
"""Rows that are remembered; if more are to be invalidated, the cache is not used at all."""

_log = logging.getLogger(__name__)


class Trust:
    """What one process knows of rows that are to be invalidated.

    Args:
        database: Where the jobs are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ends = float("-inf")
        """When the cache is not to be used any more, by `time.monotonic`."""
        self._pending: frozenset[UUID] = frozenset()

    def allows(self, image_id: UUID) -> bool:
        """Return whether a row that is looked up now may come from the cache."""
        return monotonic() < self._ends and image_id not in self._pending

    @asynccontextmanager
    async def watched(
        self, suspect: Callable[[Exception], object] = lambda _: None
    ) -> AsyncIterator[None]:
        """Ask once, and then again and again until the end of the block.

        Args:
            suspect: Called where the database is unavailable, with the error.
        """
        watching = asyncio.create_task(self._watch(suspect))
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self, suspect: Callable[[Exception], object]) -> None:
        while True:
            begun = monotonic()
            try:
                await self._ask(begun)
            except DatabaseUnavailable as error:
                suspect(error)
            except Exception:  # noqa: BLE001 - a defect is no reason to ask no more
                _log.exception("it cannot be found out which rows the cache must not have")
            await asyncio.sleep(begun + QUESTION_SECONDS - monotonic())

    async def _ask(self, begun: float) -> None:
        async with self._database.write_alone() as session:  # a replica may be late
            pending = await find_rows_to_invalidate(session, MOST_PENDING + 1)
        self._pending = frozenset(pending)
        self._ends = begun + TRUST_SECONDS if len(pending) <= MOST_PENDING else float("-inf")
