"""Doing together what is asked for at the same time.

A statement costs about as much for fifty rows as for one, and a commit just as much. So requests
that arrive while a statement is under way share the next one: the busier the service, the less a
row costs. A request that comes alone waits for nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar, cast

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Group: TypeAlias = list[tuple[_Item, asyncio.Future[_Result]]]


class Coalescer(Generic[_Item, _Result]):
    """Hands items over in groups, in the order in which they came.

    Args:
        carry_out: Does the work for a group, and gives a result for each item in its place; an
            exception among them is raised to who gave that item, one that is raised to all.
        at_once: How many groups may be under way.
        most: How many items make the largest group.
    """

    def __init__(
        self,
        carry_out: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
        at_once: int,
        most: int,
    ) -> None:
        self._carry_out = carry_out
        self._at_once = at_once
        self._most = most
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()

    def submit(self, item: _Item) -> "asyncio.Future[_Result]":
        """Have an item carried out. Cancelled before its group begins, it is left out."""
        answer: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._under_way) < self._at_once:
            # A group serves many requests, so it logs under the id of none.
            task = asyncio.create_task(self._work(), context=Context())
            self._under_way.add(task)
        return answer

    async def _work(self) -> None:
        try:
            while group := self._take():
                await self._answer(group)
        finally:
            # Not in a callback of the task: what is submitted before that ran would find nobody.
            self._under_way.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answer(self, group: "_Group[_Item, _Result]") -> None:
        items, answers = zip(*group, strict=True)
        try:
            results = await self._carry_out(items)
        except BaseException as error:
            for answer in answers:
                _refuse(answer, error)
            if not isinstance(error, Exception):
                raise
        else:
            for answer, result in zip(answers, results, strict=True):
                if isinstance(result, Exception):
                    _refuse(answer, result)
                elif not answer.done():
                    answer.set_result(result)

    def _take(self) -> "_Group[_Item, _Result]":
        group: _Group[_Item, _Result] = []
        while self._waiting and len(group) < self._most:
            item, answer = self._waiting.popleft()
            if not answer.done():
                group.append((item, answer))
        return group


def _refuse(answer: asyncio.Future[_Result], error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, asyncio.CancelledError):
        answer.cancel()
    else:
        answer.set_exception(error)
