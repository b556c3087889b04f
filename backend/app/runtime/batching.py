"""Doing together what is asked for at the same time.

A statement costs about as much for fifty rows as for one, and a commit just as much. So requests
that arrive while a statement is under way share the next one: the busier the service, the less a
row costs. A request that comes alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar, cast

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[_Item, _Result]):
    item: _Item
    answer: "asyncio.Future[_Result]"
    since: float


class Congestion(Exception):
    """So many wait that one more would wait too long."""


class Coalescer(Generic[_Item, _Result]):
    """Hands items over in groups, in the order in which they came.

    Args:
        carry_out: Does the work for a group, and gives a result for each item in its place; an
            exception among them is raised to who gave that item, one that is raised to all.
        at_once: How many groups may be under way.
        most: How many items make the largest group.
        patience: How many seconds the first in line may have waited when one more is let in.
        busy: What is raised, from `Congestion`, to those that are not.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
        *,
        at_once: int,
        most: int,
        patience: float,
        busy: type[Exception],
    ) -> None:
        self._carry_out = carry_out
        self._at_once = at_once
        self._most = most
        self._patience = patience
        self._busy = busy
        self._waiting: deque[_Waiting[_Item, _Result]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    def submit(self, item: _Item) -> "asyncio.Future[_Result]":
        """Have an item carried out. Cancelled before its group begins, it is left out.

        Raises:
            Exception: `busy`, if the groups have not come on for too long.
        """
        now = monotonic()
        if self._waiting and now - self._waiting[0].since > self._patience:
            raise self._busy from Congestion(f"{len(self._waiting)} wait in line")
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, answer, now))
        if len(self._under_way) < self._at_once:
            # A group serves many requests, so it logs under the id of none.
            task = asyncio.create_task(self._work(), context=Context())
            self._under_way.add(task)
        return answer

    async def drain(self) -> None:
        """Wait until all that was submitted is carried out."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _work(self) -> None:
        try:
            while group := self._take():
                await self._answer(group)
        except BaseException:
            for waiting in self._waiting:
                waiting.answer.cancel()
            raise
        finally:
            # Not in a callback of the task: what is submitted before that ran would find nobody.
            self._under_way.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answer(self, group: list[_Waiting[_Item, _Result]]) -> None:
        try:
            results = await self._carry_out([waiting.item for waiting in group])
        except BaseException as error:
            for waiting in group:
                _refuse(waiting.answer, error)
            if not isinstance(error, Exception):
                raise
        else:
            for waiting, result in zip(group, results, strict=True):
                if isinstance(result, Exception):
                    _refuse(waiting.answer, result)
                elif not waiting.answer.done():
                    waiting.answer.set_result(result)

    def _take(self) -> list[_Waiting[_Item, _Result]]:
        group: list[_Waiting[_Item, _Result]] = []
        while self._waiting and len(group) < self._most:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                group.append(waiting)
        return group


def _refuse(answer: asyncio.Future[_Result], error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, asyncio.CancelledError):
        answer.cancel()
    else:
        answer.set_exception(error)
