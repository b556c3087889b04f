"""Threads for what the operating system may keep waiting."""

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
"""Calls that may be under way or wait for their turn, so that nobody waits behind more."""
MOST_STUCK: Final = 64
"""Threads that may be stuck in calls that were given up, until further calls are refused."""
MOST_LEFT: Final = 10_000
"""Certain calls that may be left for the time after that."""
IDLE_SECONDS: Final = 10.0
"""How long a thread stays without work."""

_Result = TypeVar("_Result")


class Threads:
    """A pool of threads that goes on beside calls that do not return (ADR 29).

    A thread whose call is given up is replaced, and ends with its call. All are daemons, for
    otherwise the interpreter would wait for them when it ends.

    Args:
        number: How many take calls at once, besides those that are stuck.
        name: What they are called.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self._name = name
        self._waited_for = 0
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        # Sets, for to add and to remove is one step of the interpreter: a lock at each call would
        # keep the event loop waiting for threads.
        self._unfinished: set[Future[Any]] = set()
        """What waits in the queue or is running."""
        self._running: set[Future[Any]] = set()
        self._stuck: set[Future[Any]] = set()
        """What was given up and has not returned."""
        self._threads = 0
        """How many take calls from the queue."""
        self._counting = threading.Lock()
        """For the number of threads, which seldom changes."""

    async def run(self, call: Call[_Result]) -> _Result:
        """Make a call in a thread, where it logs under the request's id.

        One whose turn does not come in time is left out, unless it is certain.

        Raises:
            StorageError: As the call; `StorageUnavailable` if it does not return in time, or if so
                many wait for a thread that it would wait too long.
        """
        self._require_room(call)
        future: Future[_Result] = Future()
        if call.is_certain:
            future.set_running_or_notify_cancel()  # so that it cannot be cancelled
        answer = asyncio.wrap_future(future)
        is_taken = False
        self._waited_for += 1
        try:
            self._submit(future, partial(copy_context().run, call))
            is_taken = await has_ended(answer, call.seconds)
        finally:
            self._waited_for -= 1
            if not is_taken:
                answer.cancel()
                self._give_up(future, call.undo)
        if not is_taken:
            raise StorageUnavailable from call.timeout()
        return answer.result()

    def _require_room(self, call: Call[_Result]) -> None:
        is_stuck = len(self._stuck) >= MOST_STUCK
        if is_stuck and (not call.is_certain or len(self._unfinished) >= MOST_LEFT):
            raise StorageUnavailable from call.timeout()
        if self._waited_for >= MOST_CALLS and not call.is_certain:
            raise StorageUnavailable from Overloaded(f"{self._waited_for} wait for a thread")

    def _submit(self, future: Future[_Result], function: Callable[[], _Result]) -> None:
        self._unfinished.add(future)
        self._queue.put((future, function))
        self._require_threads()

    def _give_up(self, future: Future[_Result], undo: Callable[[_Result], object] | None) -> None:
        """Let another thread take the place of one that has not returned."""

        def undo_late(late: Future[_Result]) -> None:
            if undo and not late.cancelled() and not late.exception():
                self._submit(Future(), partial(undo, late.result()))

        future.add_done_callback(undo_late)
        self._stuck.add(future)
        if not _removed(future, self._running):
            self._stuck.discard(future)  # it waits in the queue, or has just returned
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
                if self._is_over():
                    return
                continue
            self._running.add(future)
            _settle(future, function)
            if not _removed(future, self._running):
                self._stuck.discard(future)
                return
            self._unfinished.discard(future)
            del future, function  # whose result may be large, while there is nothing to do

    def _is_over(self) -> bool:
        """Leave the threads that take calls; return False if a call has come at that moment."""
        with self._counting:
            self._threads -= 1
        # Counted first, then looked: who submits does it the other way round, and one sees.
        if self._queue.empty():
            return True
        with self._counting:
            self._threads += 1
        return False


def _removed(future: Future[Any], futures: set[Future[Any]]) -> bool:
    """Remove a call; return whether it was there, which one of two who try is told."""
    try:
        futures.remove(future)
    except KeyError:
        return False
    return True


def _settle(future: Future[_Result], function: Callable[[], _Result]) -> None:
    if not future.running() and not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - handed on to who waits for it
        future.set_exception(error)
    else:
        future.set_result(result)


async def has_ended(work: "asyncio.Future[_Result]", seconds: float | None = None) -> bool:
    """Wait for the end of work in a thread or another process, also when cancelled.

    So no two calls on a file overlap, and none is left to run after its owner is gone.

    Args:
        work: What to wait for. It is not cancelled.
        seconds: How long to wait; None if the work has a deadline of its own.

    Returns:
        Whether it has ended in time.

    Raises:
        asyncio.CancelledError: After the end, if this was cancelled.
    """
    until = None if seconds is None else monotonic() + seconds
    is_cancelled = False
    while not work.done():
        left = None if until is None else until - monotonic()
        if left is not None and left <= 0:
            break
        try:
            await asyncio.wait([work], timeout=left)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        if work.done() and not work.cancelled():
            work.exception()  # seen, although nobody wants it
        raise asyncio.CancelledError
    return work.done()
