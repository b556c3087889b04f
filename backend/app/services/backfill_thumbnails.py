"""Having workers render the images that lack thumbnails or metadata, as of earlier versions.

Safe beside a running service: its jobs go before these. So many are queued at a time that the queue
stays short; a run that is stopped leaves them there, and the next finds what is left.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from time import monotonic
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.image import Position
from app.domain.job import RENDER, NewJob, Priority
from app.statements.backfill import find_rendering_states, list_unrendered
from app.statements.jobs import find_unfinished, has_workers, insert_jobs

ROWS_READ_AT_ONCE: Final = 5000
"""Rows of one query, rendered already or not."""
MOST_QUEUED: Final = 2000
"""Images that wait for workers at a time."""
GROUP: Final = 500
"""Jobs inserted in one transaction."""
POLL_SECONDS: Final = 1.0
WORKERLESS_SECONDS: Final = 10.0
"""How long there may be no worker, such as while a service restarts."""


class RenderOutcome(StrEnum):
    """What became of one image that was to be rendered."""

    DONE = "with thumbnails and metadata"
    FAILED = "that cannot be rendered"
    LEFT = "left by workers as they were"
    DELETED = "deleted in between"


Progress = Callable[[Counter[RenderOutcome]], object]


class NoWorker(Exception):
    """Nobody takes jobs; the sentence says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "no worker takes jobs. Start one with `make worker` or `make run`; it renders what is "
            "queued. Then run this again for the rest."
        )


class ThumbnailBackfill:
    """Queues renderings of images that lack some of today's sizes, or their metadata.

    Those that could not be rendered are not asked for again, once they have metadata.

    Args:
        database: Where the rows and jobs are.
        sizes: Longest sides of thumbnails, in pixels.
    """

    def __init__(self, database: Database, sizes: Sequence[int]) -> None:
        self._database = database
        self._sizes = sizes
        self._queued: set[UUID] = set()
        self._worker_seen = 0.0
        """When there was one last, by `time.monotonic`."""

    async def count(self) -> int:
        """Return how many images are to be rendered; no statement reads more than some thousand.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
        """
        return sum([len(ids) async for ids in self._pages()])

    async def run(self, progress: Progress) -> None:
        """Have every image rendered, newest first, and wait for it; report outcomes as they come.

        Raises:
            NoWorker: If there has been none for some time.
            DatabaseUnavailable: If rows and jobs cannot all be read and written.
        """
        self._worker_seen = monotonic()
        async for ids in self._pages():
            for begin in range(0, len(ids), GROUP):
                group = ids[begin : begin + GROUP]
                while len(self._queued) > MOST_QUEUED - GROUP:
                    await self._wait(progress)
                async with self._database.write() as session:
                    jobs = [NewJob(RENDER, str(image_id), Priority.BACKLOG) for image_id in group]
                    await insert_jobs(session, jobs)
                self._queued.update(group)
        while self._queued:
            await self._wait(progress)

    async def _pages(self) -> AsyncIterator[list[UUID]]:
        """Yield the ids of the images that are to be rendered, a page at a time."""
        ids, last = await self._page(None)
        while last:
            yield ids
            ids, last = await self._page(last)

    async def _page(self, after: Position | None) -> tuple[list[UUID], Position | None]:
        async with self._database.read() as session:
            return await list_unrendered(session, self._sizes, after, ROWS_READ_AT_ONCE)

    async def _wait(self, progress: Progress) -> None:
        """Wait a little, and report what has become of queued images since.

        Raises:
            NoWorker: As `run`.
        """
        await asyncio.sleep(POLL_SECONDS)
        before = self._queued
        async with self._database.read() as session:
            # The jobs first: when one is gone, its row says what has become of it.
            with_job = await find_unfinished(session, RENDER, map(str, before))
            states = await find_rendering_states(session, self._sizes, before)
            has_worker = await has_workers(session)
        if has_worker:
            self._worker_seen = monotonic()
        unrendered = {state.id for state in states if state.is_unrendered}
        failed = sum(state.is_failed for state in states if not state.is_unrendered)
        self._queued = {image_id for image_id in unrendered if str(image_id) in with_job}
        progress(
            Counter(
                {
                    RenderOutcome.DONE: len(states) - len(unrendered) - failed,
                    RenderOutcome.FAILED: failed,
                    RenderOutcome.LEFT: len(unrendered) - len(self._queued),
                    RenderOutcome.DELETED: len(before) - len(states),
                }
            )
        )
        workerless = 0.0 if has_worker else monotonic() - self._worker_seen
        if self._queued and workerless > WORKERLESS_SECONDS:
            raise NoWorker
