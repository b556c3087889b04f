"""The command that does jobs: `python -m app worker`."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, suppress
from functools import partial
from typing import Final

from app.commands.runner import EXPECTED, explain, require_usable
from app.composition.observation import require_metrics_package
from app.composition.resources import located_database
from app.composition.roles import WORKER
from app.composition.worker import open_worker
from app.config.settings import Settings
from app.database.embedded import shared_postgres
from app.observability.metrics.sampling import sampled
from app.observability.observer import SILENT, Observer
from app.runtime import signals
from app.server.listener import listen, listen_for_metrics
from app.services.readiness import Readiness

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1

Answers = Callable[[Readiness, asyncio.Event], AbstractAsyncContextManager[None]]
"""Answers over HTTP for a worker of some readiness, until the end of the block."""


def run(settings: Settings, health_port: int | None, metrics_address: str | None) -> int:
    """Do jobs until a signal ends it.

    Args:
        settings: Those of the service.
        health_port: Where to answer for the worker's health, on HOST; None = nowhere.
        metrics_address: Where to answer with its metrics, as host:port; None = nowhere.

    Returns:
        0 = a signal has stopped it, 1 = it could do no jobs, and why.
    """
    try:
        with ExitStack() as opened:
            listener = None
            if health_port is not None:
                settings = settings.model_copy(update={"port": health_port})
                listener = opened.enter_context(listen(settings))
            metrics = None
            if metrics_address:
                metrics = opened.enter_context(_listen_for_metrics(settings, metrics_address))
            located = opened.enter_context(located_database(settings, shared_postgres))
            with suppress(asyncio.CancelledError):  # by a second signal
                signals.run(_work(located, listener, metrics))
    except EXPECTED as error:
        print(f"No jobs are done: {explain(error)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_STOPPED


def _listen_for_metrics(settings: Settings, address: str) -> socket.socket:
    require_metrics_package()
    return listen_for_metrics(settings.model_copy(update={"metrics_address": address}))


async def _work(
    settings: Settings, listener: socket.socket | None, metrics: socket.socket | None
) -> None:
    async def beat() -> None:
        """Do nothing: nobody watches."""

    await require_usable(settings, WORKER)
    stopping = signals.stop_event(*signals.ENDING)
    observer, answers = SILENT, list[Answers]()
    # FastAPI and uvicorn, which only these two need.
    if listener:
        from app.composition.worker_health import served_health  # noqa: PLC0415

        answers.append(partial(served_health, settings, listener))
    if metrics:
        from app.composition.worker_metrics import WorkerMetrics  # noqa: PLC0415

        own = WorkerMetrics(settings, metrics)
        observer = own.observer
        answers.append(own.served)
    await take_jobs(settings, stopping, beat, observer, answers)


async def take_jobs(
    settings: Settings,
    stopping: asyncio.Event,
    beat: Callable[[], Awaitable[None]],
    observer: Observer,
    answers: Sequence[Answers] = (),
) -> None:
    """Do jobs until the event is set.

    Args:
        settings: Those of the service, with the URL of the database.
        stopping: As of `Worker.run`.
        beat: As of `Worker.run`.
        observer: Told what the worker does.
        answers: Open what answers over HTTP, for as long as jobs are done.
    """
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(sampled(observer, "worker"))
        worker = await opened.enter_async_context(open_worker(settings, observer))
        for answer in answers:
            await opened.enter_async_context(answer(worker.readiness, stopping))
        await worker.run(stopping, beat)
