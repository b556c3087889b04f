"""A worker: executes the jobs of its tasks, and survives an unavailable database."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from procrastinate import App, JobContext
from procrastinate.jobs import DeleteJobCondition
from procrastinate.worker import Worker

from app.database.engine import Database
from app.domain.errors import CacheUnavailable, DatabaseUnavailable, StorageError
from app.observability.logs import trace_id
from app.observability.observer import SILENT, Observer
from app.observability.reasons import reason
from app.queue.connector import EngineConnector
from app.queue.settlement import Settlement
from app.queue.task import Task
from app.queue.upkeep import Upkeep
from app.statements.attempts import find_earlier_attempts

POLL_SECONDS: Final = 0.25
"""Between questions whether there is a job, while there is none."""
GRACE_SECONDS: Final = 5.0
"""How long jobs may go on after `stop`; then they are given back."""
STOP_SECONDS: Final = 10.0
"""How long `run` waits after `stop` before it cancels what is in progress, whatever hangs."""
CANCEL_SECONDS: Final = 1.0
"""How long what is cancelled then may take to end."""
SILENCE_SECONDS: Final = 15.0
"""Without an answer of the queue for so long, a worker does not consume."""
PAUSE_SECONDS: Final = 1.0
"""Before the queue is used again after a failure."""
HINDRANCES: Final = (CacheUnavailable, DatabaseUnavailable, StorageError, OSError)
"""Errors that say nothing of the job: an outage, a full disk, no more processes."""

_NEVER: Final = 1e9
"""Seconds."""
_DAY: Final = 86_400.0

_log = logging.getLogger(__name__)


class QueueWorker:
    """Executes jobs.

    Args:
        database: Where the queue is; its statements have deadlines.
        tasks: The jobs of others are left to other workers.
        concurrency: Most jobs at once.
        suspect: Called with each error that says that something is unavailable.
        observer: Told how attempts end.
    """

    def __init__(
        self,
        database: Database,
        tasks: Sequence[Task],
        concurrency: int,
        suspect: Callable[[Exception], object] = lambda _: None,
        observer: Observer = SILENT,
    ) -> None:
        self._database = database
        self._suspect = suspect
        self._queues = [task.name for task in tasks]
        self._concurrency = concurrency
        self._app = App(connector=EngineConnector(database))
        self._settlement = Settlement(self._app.connector, database, observer)
        self._app.job_manager = self._settlement
        for task in tasks:
            self._register(task)
        self._worker: Worker | None = None
        self._running = 0
        self._stopping = asyncio.Event()

    @property
    def is_consuming(self) -> bool:
        """Whether the queue was asked successfully a short time ago, or all places are taken."""
        return monotonic() - self._settlement.answered_at < SILENCE_SECONDS

    def stop(self) -> None:
        """Take no more jobs; finish those that are running soon, or give them back."""
        self._stopping.set()
        self._settlement.is_stopping = True
        if self._worker:
            self._worker.stop()  # type: ignore[no-untyped-call]

    async def run(self) -> None:
        """Execute jobs until `stop`."""
        upkeep = Upkeep(self._database, self._worker_id, self._on_beat, self._suspect)
        consuming = asyncio.create_task(self._consume())
        beside = [asyncio.create_task(upkeep.run()), asyncio.create_task(self._stopping.wait())]
        try:
            await asyncio.wait([consuming, beside[1]], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([consuming], timeout=STOP_SECONDS)
        finally:
            for task in (consuming, *beside):
                task.cancel()
            await asyncio.wait([consuming, *beside], timeout=CANCEL_SECONDS)

    async def _consume(self) -> None:
        """Let a worker of procrastinate run, again and again: it ends where a statement fails.

        Each is known to the database by an id of its own. A job that it took without knowing so,
        because the answer was lost, is taken up as that of a worker that has ended.
        """
        while not self._stopping.is_set():
            self._worker = Worker(
                self._app,
                queues=self._queues,
                concurrency=self._concurrency,
                fetch_job_polling_interval=POLL_SECONDS,
                shutdown_graceful_timeout=GRACE_SECONDS,
                listen_notify=False,
                install_signal_handlers=False,
                delete_jobs=DeleteJobCondition.NEVER,  # `Settlement` decides
                abort_job_polling_interval=_NEVER,
                update_heartbeat_interval=_NEVER,  # see `Upkeep`
                stalled_worker_timeout=_DAY,
            )
            try:
                await self._worker.run()  # type: ignore[no-untyped-call]
            except DatabaseUnavailable as error:
                self._suspect(error)
            except Exception:  # noqa: BLE001 - a defect is no reason to execute nothing
                _log.exception("the worker starts again")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PAUSE_SECONDS)

    def _register(self, task: Task) -> None:
        """Make a task known to procrastinate, in a queue of its own."""

        async def attempt(context: JobContext, subject: str) -> None:
            job = context.job
            # For the attempt and its settling, which are an asyncio task of their own.
            trace_id.set(job.lock or "")
            _log.debug("job %s begins, after %s attempts", job.queueing_lock, job.attempts)
            self._running += 1
            begun = monotonic()
            try:
                await self._attempt(task, context, subject)
            finally:
                self._settlement.took(context.job, monotonic() - begun)
                self._running -= 1

        known = self._app.task(name=task.name, queue=task.name, pass_context=True)(attempt)
        if task.cron:
            registry = self._app.periodic_registry
            registry.register_task(known, task.cron, "", {})  # type: ignore[arg-type]  # no time is passed

    async def _attempt(self, task: Task, context: JobContext, subject: str) -> None:
        """Execute a job, or set it aside after too many attempts."""
        job = context.job
        deadline = asyncio.timeout(task.seconds)
        try:
            async with deadline:
                if why := await self._why_set_aside(job.id) if job.attempts else "":
                    if task.set_aside:
                        await task.set_aside(subject, why)
                    self._settlement.set_aside(job, why)
                else:
                    await task.run(subject)
        except asyncio.CancelledError as error:
            if context.abort_reason():
                raise
            self._settlement.fail(job, "It was cancelled.")
            raise RuntimeError("something has cancelled the attempt, not the worker") from error
        except Exception as error:  # noqa: BLE001 - whatever a job raises, the next one is executed
            why = reason(error)
            if deadline.expired():
                why = f"It took longer than {task.seconds:g} seconds."
                _log.error("job %s fails: %s", job.queueing_lock, why)
                self._settlement.fail(job, why)
            elif isinstance(error, HINDRANCES):
                if not isinstance(error, CacheUnavailable):  # which the cache reports once
                    _log.warning("job %s has to wait: %s", job.queueing_lock, why)
                self._settlement.hinder(job, why)
                self._suspect(error)
            else:
                _log.exception("job %s fails: %s", job.queueing_lock, why)
                self._settlement.fail(job, why)

    async def _why_set_aside(self, job_id: int | None) -> str:
        """Return why a job is to be set aside; empty if it is to be executed."""
        assert job_id is not None  # noqa: S101 - it was fetched
        async with self._database.read() as session:
            earlier = await find_earlier_attempts(session, job_id)
        return earlier.reason if earlier.are_too_many else ""

    def _worker_id(self) -> int | None:
        return self._worker.worker_id if self._worker else None

    def _on_beat(self) -> None:
        if self._running == self._concurrency:
            self._settlement.answered_at = monotonic()
