"""The run of a worker: it takes jobs, shows that it does, and ends without losing one (ADR 39)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from app import __version__
from app.domain.errors import ImageHostError
from app.queue.worker import QueueWorker
from app.server.process_handle import BEAT_SECONDS, DRAIN_SECONDS
from app.services.readiness import Probe, Readiness

RETRY_SECONDS: Final = 0.2
"""Between two checks whether jobs are taken, until they are."""

_log = logging.getLogger(__name__)


class NotConsuming(ImageHostError):
    """The worker takes no jobs."""

    reason = "the queue has not answered recently"


class Worker:
    """Takes jobs, until it is to stop.

    Args:
        queue: Where from.
        readiness: Whether database and storage can be used; learns whether jobs are taken.
    """

    def __init__(self, queue: QueueWorker, readiness: Readiness) -> None:
        self._queue = queue
        self.readiness = readiness
        readiness.add("queue", Probe(self._require_consuming, NotConsuming))

    async def run(self, stopping: asyncio.Event, beat: Callable[[], Awaitable[None]]) -> None:
        """Take jobs until the event is set, and return when those in progress have ended.

        Args:
            stopping: Ends it.
            beat: Called every BEAT_SECONDS while jobs are taken, or the database is known to be
                unavailable: another process would do no better.
        """
        tasks = [
            consuming := asyncio.create_task(self._queue.run()),
            asyncio.create_task(self._beat(beat)),
            asyncio.create_task(stopping.wait()),
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._queue.stop()
            finished, _ = await asyncio.wait([consuming], timeout=DRAIN_SECONDS)
            if not finished:
                _log.warning("jobs in progress are cut off, and will be done again")
            for task in ended | finished:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _beat(self, beat: Callable[[], Awaitable[None]]) -> None:
        is_announced = False
        while True:
            is_consuming = self._queue.is_consuming
            if is_consuming and not is_announced:
                is_announced = True
                _log.info("version %s takes jobs", __version__)
            if is_consuming or await self.readiness.lacks_database():
                await beat()
                await asyncio.sleep(BEAT_SECONDS)
            else:
                await asyncio.sleep(RETRY_SECONDS)

    async def _require_consuming(self) -> None:
        if not self._queue.is_consuming:
            raise NotConsuming
