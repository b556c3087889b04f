"""Threads for blocking calls, some of which the operating system may never let return."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, TypeVar

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Overloaded
from app.storage.local.calls import Call

MOST_CALLS: Final = 1000
"""Calls that may be running or queued, so that nobody waits behind more."""
MOST_STUCK: Final = 64
"""Threads that may be stuck in calls that timed out, until further calls are refused."""
MOST_DEFERRED: Final = 10_000
"""Calls that must run, and that are kept for the time after that."""
IDLE_SECONDS: Final = 10.0
"""How long a thread stays without work."""

_Result = TypeVar("_Result")


class Threads:
    """A pool of threads that goes on beside calls that do not return (ADR 29).

    A thread whose call timed out is replaced, and ends with its call. All are daemons, for
    otherwise the interpreter would wait for them when it ends.

    Args:
        number: How many take calls at once, besides those that are stuck.
        name: What they are called.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._waiting = 0
        """How many wait for a call."""
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        # Sets, for to add and to remove is one step of the interpreter: a lock at each call would
        # keep the event loop waiting for threads.
        self._unfinished: set[Future[Any]] = set()
        """What is queued or running."""
        self._running: set[Future[Any]] = set()
        self._stuck: set[Future[Any]] = set()
        """What timed out and has not returned."""
        self._threads = 0
        """How many take calls from the queue."""
        self._counting = threading.Lock()
        """For the number of threads, which seldom changes."""

    async def run(self, call: Call[_Result]) -> _Result:
        """Run a call in a thread, where it logs under the request's id.

        One that is still queued at its timeout is left out, unless it must run.

        Raises:
            StorageError: As the call; `StorageUnavailable` if it does not return in time, or the
                threads are overloaded.
        """
        self._require_room(call)
        future: Future[_Result] = Future()
        if call.must_run:
            future.set_running_or_notify_cancel()  # so that it cannot be cancelled
        result = asyncio.wrap_future(future)
        is_done = False
        self._waiting += 1
        try:
            self._submit(future, partial(copy_context().run, call))
            is_done = await shield_until_done(result, call.seconds)
        finally:
            self._waiting -= 1
            if not is_done:
                result.cancel()
                self._abandon(future, call.undo)
        if not is_done:
            raise StorageUnavailable from call.timed_out()
        return result.result()

    def _require_room(self, call: Call[_Result]) -> None:
        is_stuck = len(self._stuck) >= MOST_STUCK
        if is_stuck and (not call.must_run or len(self._unfinished) >= MOST_DEFERRED):
            raise StorageUnavailable from call.timed_out()
        if self._waiting >= MOST_CALLS and not call.must_run:
            raise StorageUnavailable from Overloaded(
                f"{self._waiting} calls wait for a thread: {call.name}: {call.path}"
            )

    def _submit(self, future: Future[_Result], function: Callable[[], _Result]) -> None:
        self._unfinished.add(future)
        self._queue.put((future, function))
        self._require_threads()

    def _abandon(self, future: Future[_Result], undo: Callable[[_Result], object] | None) -> None:
        """Replace the thread of a call that has not returned."""

        def undo_late(late: Future[_Result]) -> None:
            if undo and not late.cancelled() and not late.exception():
                self._submit(Future(), partial(undo, late.result()))

        future.add_done_callback(undo_late)
        self._stuck.add(future)
        if not _removed(future, self._running):
            self._stuck.discard(future)  # it is queued, or has just returned
            return
        self._unfinished.discard(future)
        with self._counting:
            self._threads -= 1
        self._require_threads()

    def _require_threads(self) -> None:
        """Start a thread if one is needed; where the system allows no more, go on with fewer."""
        if self._threads >= min(len(self._unfinished), self._number):
            return
        with self._counting, suppress(RuntimeError):
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        while True:
            try:
                future, function = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                if self._may_end():
                    return
                continue
            self._running.add(future)
            _complete(future, function)
            if not _removed(future, self._running):
                self._stuck.discard(future)
                return
            self._unfinished.discard(future)
            del future, function  # whose result may be large, while there is nothing to do

    def _may_end(self) -> bool:
        """Count an idle thread out; return False if a call was queued at that moment."""
        with self._counting:
            self._threads -= 1
        # Counted first, then looked: who submits does it the other way round, and one sees.
        if self._queue.empty():
            return True
        with self._counting:
            self._threads += 1
        return False


def _removed(future: Future[Any], futures: set[Future[Any]]) -> bool:
    """Remove a call; return whether it was there, which is true for one of two who try."""
    try:
        futures.remove(future)
    except KeyError:
        return False
    return True


def _complete(future: Future[_Result], function: Callable[[], _Result]) -> None:
    if not future.running() and not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - raised to who waits for the result
        future.set_exception(error)
    else:
        future.set_result(result)


async def shield_until_done(work: "asyncio.Future[_Result]", seconds: float | None = None) -> bool:
    """Wait until work in a thread or another process is done, even if cancelled before.

    So no two calls on a file overlap, and none is left running after its owner has gone.

    Args:
        work: What to wait for. It is not cancelled.
        seconds: The timeout; None if the work has one of its own.

    Returns:
        Whether it was done in time.

    Raises:
        asyncio.CancelledError: Afterwards, if this was cancelled.
    """
    deadline = None if seconds is None else monotonic() + seconds
    is_cancelled = False
    while not work.done():
        left = None if deadline is None else deadline - monotonic()
        if left is not None and left <= 0:
            break
        try:
            await asyncio.wait([work], timeout=left)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        if work.done() and not work.cancelled():
            work.exception()  # retrieved, although nobody wants it
        raise asyncio.CancelledError
    return work.done()
