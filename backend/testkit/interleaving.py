"""Every order in which processes can take their steps over two storages in memory.

Each operation of a storage is one step. A process that is killed takes none any more.
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from app.storage.abilities import Mark
from app.storage.base import ObjectInfo, ObjectReader, Skipped, StagedObject, ignore
from app.storage.memory import MemoryStorage

_Result = TypeVar("_Result")
Step = Callable[[], Awaitable[None]]


class Killed(BaseException):
    """The process is dead."""


class Process:
    """Work over storages, begun up to its first step.

    Args:
        work: Is passed what to await before each step.
    """

    def __init__(self, work: Callable[[Step], Coroutine[Any, Any, object]]) -> None:
        self.is_over = False
        self._is_alive = True
        self._work = work(self._step)
        self.advance()

    def advance(self) -> None:
        """Take a step, and all that follows before the next one."""
        self._resume(lambda: self._work.send(None))

    def cancel(self) -> None:
        """Cancel the work, as Ctrl-C does; it may take further steps."""
        if not self.is_over:
            self._resume(lambda: self._work.throw(CancelledError()))

    def kill(self) -> None:
        """End the process at once."""
        self._is_alive = False
        if not self.is_over:
            self._resume(lambda: self._work.throw(Killed()))

    def _resume(self, resume: Callable[[], object]) -> None:
        try:
            resume()
        except (StopIteration, CancelledError, Killed):
            self.is_over = True

    async def _step(self) -> None:
        if not self._is_alive:
            raise Killed
        await _Pause()


class _Pause:
    def __await__(self) -> Generator[None]:
        yield


def at_once(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of work that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        result: _Result = end.value
        return result
    raise AssertionError("it waits")


class SteppedStorage:
    """A `Place` in memory, as one process uses it."""

    location = "memory"

    def __init__(self, step: Step, objects: MemoryStorage) -> None:
        self._step = step
        self._objects = objects

    async def stage(self, key: str, content_type: str) -> StagedObject:
        return _SteppedObject(self._step, await self._objects.stage(key, content_type))

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        await self._step()
        return await self._objects.open(key, start, length)

    async def stat(self, key: str) -> ObjectInfo:
        await self._step()
        return await self._objects.stat(key)

    async def delete(self, key: str) -> None:
        await self._step()
        await self._objects.delete(key)

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        await self._step()
        async for info in self._objects.list(skipped):
            yield info

    async def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:  # noqa: ARG002 - nothing is kept
        none: tuple[ObjectInfo, ...] = ()
        for info in none:
            yield info

    async def discard_staged(self, name: str) -> None: ...

    async def prepare(self) -> None: ...

    async def probe(self) -> None: ...

    async def close(self) -> None: ...

    async def read_mark(self) -> Mark | None:
        return None

    async def write_mark(self, mark: Mark) -> None: ...

    async def holds_objects(self) -> bool:
        return True

    def require_mark(self, storage_id: UUID) -> None: ...


class _SteppedObject:
    def __init__(self, step: Step, staged: StagedObject) -> None:
        self._step = step
        self._staged = staged

    async def write(self, data: bytes) -> None:
        await self._staged.write(data)

    async def seal(self) -> None: ...

    async def publish(self) -> bytes | None:
        await self._step()
        return await self._staged.publish()

    async def discard(self) -> None:
        await self._step()
        await self._staged.discard()


def every_order(run: Callable[[Callable[[int], int]], object]) -> int:
    """Run once for each sequence of choices; return how many there are.

    Args:
        run: Is passed a function that chooses one of so many ways to go on.
    """
    runs = 0
    prefix: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []
        run(partial(_choose, prefix, taken))
        runs += 1
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return runs
        prefix = [choice for choice, _ in taken]
        prefix[-1] += 1


def _choose(prefix: list[int], taken: list[tuple[int, int]], ways: int) -> int:
    choice = prefix[len(taken)] if len(taken) < len(prefix) else 0
    taken.append((choice, ways))
    return choice
