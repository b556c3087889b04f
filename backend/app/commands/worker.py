"""The command that does jobs: `python -m app worker`."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from typing import Final

from app.commands.runner import EXPECTED, explain, require_usable
from app.composition.resources import located_database
from app.composition.roles import WORKER
from app.composition.worker import open_worker
from app.config.settings import Settings
from app.database.embedded import shared_postgres
from app.observability.metrics.sampling import sampled
from app.observability.observer import SILENT, Observer
from app.runtime import signals
from app.server.listener import listen

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1


def run(settings: Settings, health_port: int | None) -> int:
    """Do jobs until a signal ends it.

    Args:
        settings: Those of the service.
        health_port: Where to answer for the worker's health, on HOST; None = nowhere.

    Returns:
        0 = a signal has stopped it, 1 = it could do no jobs, and why.
    """
    try:
        with ExitStack() as opened:
            listener = None
            if health_port is not None:
                settings = settings.model_copy(update={"port": health_port})
                listener = opened.enter_context(listen(settings))
            located = opened.enter_context(located_database(settings, shared_postgres))
            with suppress(asyncio.CancelledError):  # by a second signal
                signals.run(_work(located, listener))
    except EXPECTED as error:
        print(f"No jobs are done: {explain(error)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_STOPPED


async def _work(settings: Settings, listener: socket.socket | None) -> None:
    async def beat() -> None:
        """Do nothing: nobody watches."""

    await require_usable(settings, WORKER)
    stopping = signals.stop_event(*signals.ENDING)
    await take_jobs(settings, stopping, beat, listener)


async def take_jobs(
    settings: Settings,
    stopping: asyncio.Event,
    beat: Callable[[], Awaitable[None]],
    listener: socket.socket | None = None,
    observer: Observer = SILENT,
) -> None:
    """Do jobs until the event is set.

    Args:
        settings: Those of the service, with the URL of the database.
        stopping: As of `Worker.run`.
        beat: As of `Worker.run`.
        listener: Where to answer for the worker's health, if anywhere.
        observer: Told what the worker does.
    """
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(sampled(observer, "worker"))
        worker = await opened.enter_async_context(open_worker(settings, observer))
        if listener:
            # FastAPI and uvicorn, which only this needs.
            from app.composition.worker_health import served_health  # noqa: PLC0415

            health = served_health(settings, listener, worker.readiness, stopping)
            await opened.enter_async_context(health)
        await worker.run(stopping, beat)
