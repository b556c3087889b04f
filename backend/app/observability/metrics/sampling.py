"""What a process is in the middle of, looked at once a second, which costs requests nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from app.observability.observer import Observer

SECONDS: Final = 1.0
"""Between two looks."""


@asynccontextmanager
async def sampled(observer: Observer, process: str) -> AsyncIterator[None]:
    """Let an observer look once a second until the end of the block, and then once more.

    Args:
        observer: Looks; one that is silent never does.
        process: The kind of this one: service or worker.
    """
    if observer.is_silent:
        yield
        return
    sampling = asyncio.create_task(_sample(observer, process))
    try:
        yield
    finally:
        sampling.cancel()
        await asyncio.wait([sampling])
        observer.sample()


async def _sample(observer: Observer, process: str) -> None:
    while True:
        observer.sample()
        due = perf_counter() + SECONDS
        await asyncio.sleep(SECONDS)
        observer.loop_lag(process, max(0.0, perf_counter() - due))
