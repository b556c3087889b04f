"""Concurrent operations, carried out in batches.

A statement costs about as much for fifty rows as for one, and a commit just as much. So items that
arrive while a batch is in progress make up the next one: the busier the service, the less an item
costs. An item that comes alone does not wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from app.observability.observer import SILENT, Observer

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class _Queued(NamedTuple, Generic[_Item, _Result]):
    item: _Item
    result: "asyncio.Future[_Result]"
    since: float


class Overloaded(Exception):
    """So many are queued that one more would wait too long."""


class Batcher(Generic[_Item, _Result]):
    """Carries items out in batches, in the order in which they came.

    Args:
        name: Of its batches, for whoever observes them.
        carry_out: Does the work for a batch, and returns a result for each item in its place; an
            exception among them is raised for that item, one that is raised for all.
        refusal: What is raised, from `Overloaded`, for an item that would wait too long.
        max_size: Most items of a batch.
        max_queue_delay: Seconds for which the first in the queue may have waited when one more is
            accepted.
        observer: Told of each batch.
    """

    def __init__(  # noqa: PLR0913 - all that bounds a queue
        self,
        name: str,
        carry_out: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
        *,
        refusal: type[Exception],
        max_size: int = 200,
        max_queue_delay: float = 5.0,
        observer: Observer = SILENT,
    ) -> None:
        self._name = name
        self._carry_out = carry_out
        self._max_size = max_size
        self._max_queue_delay = max_queue_delay
        self._refusal = refusal
        self._observer = observer
        self._queue: deque[_Queued[_Item, _Result]] = deque()
        self._worker: asyncio.Task[None] | None = None

    def submit(self, item: _Item) -> "asyncio.Future[_Result]":
        """Queue an item. Cancelled before its batch begins, it is left out.

        Raises:
            Exception: `refusal`, if the queue is too slow.
        """
        now = monotonic()
        if self._queue and now - self._queue[0].since > self._max_queue_delay:
            waited = now - self._queue[0].since
            raise self._refusal from Overloaded(
                f"{len(self._queue)} are queued, the first for {waited:.1f} s"
            )
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Queued(item, result, now))
        if self._worker is None:
            # A batch serves many requests, so it logs under the id of none.
            self._worker = asyncio.create_task(self._work(), context=Context())
        return result

    async def drain(self, seconds: float) -> None:
        """Wait until the queue is empty and no batch is in progress; then cancel what is left."""
        if worker := self._worker:
            await asyncio.wait([worker], timeout=seconds)
            worker.cancel()
            await asyncio.wait([worker])

    async def _work(self) -> None:
        try:
            while batch := self._take():
                await self._process(batch)
        except BaseException:
            for queued in self._queue:
                queued.result.cancel()
            raise
        finally:
            # Not in a callback of the task: what is submitted before that ran would find no worker.
            self._worker = None

    def _take(self) -> list[_Queued[_Item, _Result]]:
        batch: list[_Queued[_Item, _Result]] = []
        while self._queue and len(batch) < self._max_size:
            queued = self._queue.popleft()
            if not queued.result.done():
                batch.append(queued)
        return batch

    async def _process(self, batch: list[_Queued[_Item, _Result]]) -> None:
        try:
            if not self._observer.is_silent:
                self._observer.batch(self._name, len(batch), monotonic() - batch[0].since)
            results = await self._carry_out([queued.item for queued in batch])
        except BaseException as error:
            for queued in batch:
                _settle(queued.result, error)
            if not isinstance(error, Exception):
                raise
        else:
            for queued, result in zip(batch, results, strict=True):
                _settle(queued.result, result)


def _settle(future: asyncio.Future[_Result], result: _Result | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, asyncio.CancelledError):
        future.cancel()
    elif isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
