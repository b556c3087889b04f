"""Threads for what the operating system may keep waiting."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Final, TypeVar, TypeVarTuple

from app.errors import StorageUnavailable
from app.services.coalescing import Congestion

MOST_VISITS: Final = 1000
"""Visits that may be under way or wait for their turn, so that nobody waits behind more."""

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")


class Threads:
    """A pool of threads that may be visited."""

    def __init__(self, number: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(number, thread_name_prefix=name)
        self._visits = 0

    async def visit(
        self, function: Callable[[*_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """Call a blocking function in a thread, where it logs under the request's id.

        Raises:
            StorageUnavailable: If so many wait for a thread that this one would wait too long.
        """
        if self._visits >= MOST_VISITS:
            raise StorageUnavailable from Congestion(f"{self._visits} wait for a thread")
        return await self.certain_visit(function, *args)

    async def certain_visit(
        self, function: Callable[[*_Arguments], _Result], *args: *_Arguments
    ) -> _Result:
        """Do as `visit`, however many wait: for what must not be left undone."""
        self._visits += 1
        try:
            work = partial(copy_context().run, function, *args)
            return await to_the_end(asyncio.get_running_loop().run_in_executor(self._pool, work))
        finally:
            self._visits -= 1


async def to_the_end(work: "asyncio.Future[_Result]") -> _Result:
    """Wait for the end of work in a thread or another process, even when cancelled.

    So no two visits to a file overlap, and none is left to run after its owner is gone.
    """
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])
        raise
