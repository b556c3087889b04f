"""What workers do for the queue beside their jobs: heartbeats, and taking up lost jobs.

procrastinate's own heartbeat stops while a worker stops, and takes nothing up.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Final

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.domain.job import STALE
from app.observability.logs import trace_id
from app.statements.attempts import beat, prune_failed_jobs, take_up_lost_jobs

BEAT_SECONDS: Final = 5.0
PRUNE_SECONDS: Final = 3600.0

_log = logging.getLogger(__name__)


class Upkeep:
    """Keeps the queue in order while a worker runs.

    Args:
        database: Where the queue is.
        worker: Returns the worker's id, None while it has none.
        on_beat: Called after each heartbeat.
        suspect: Called where the database is unavailable, with the error.
    """

    def __init__(
        self,
        database: Database,
        worker: Callable[[], int | None],
        on_beat: Callable[[], None],
        suspect: Callable[[Exception], object],
    ) -> None:
        self._database = database
        self._worker = worker
        self._on_beat = on_beat
        self._suspect = suspect
        self._connected_at: float | None = None
        self._pruned_at = float("-inf")

    async def run(self) -> None:
        """Go on until cancelled, whether or not the database is available."""
        while True:
            try:
                await self._round()
            except DatabaseUnavailable as error:
                self._connected_at = None
                self._suspect(error)
            except Exception:  # noqa: BLE001 - a defect is no reason to stop
                self._connected_at = None
                _log.exception("the queue cannot be kept in order")
            await asyncio.sleep(BEAT_SECONDS)

    async def _round(self) -> None:
        now = monotonic()
        async with self._database.write_alone() as session:
            if (worker := self._worker()) is not None:
                await beat(session, worker)
                self._on_beat()
            if self._connected_at is None:
                self._connected_at = now
            # After an outage of the database all workers are stale until they could beat again.
            if now - self._connected_at > STALE.total_seconds():
                for name, trace in await take_up_lost_jobs(session):
                    token = trace_id.set(trace)
                    _log.warning("job %s is taken up again: its worker ended", name)
                    trace_id.reset(token)
            if now - self._pruned_at > PRUNE_SECONDS:
                await prune_failed_jobs(session)
                self._pruned_at = now
