"""The process that writes uploads to the disk, as the service sees it (ADR 20).

A thread would share the interpreter's lock with the event loop, and each of its system calls would
take that lock from the loop: nearly half of what an upload cost.
"""

import asyncio
import logging
from collections.abc import Sequence
from errno import ETIMEDOUT
from time import monotonic
from typing import Final, NamedTuple

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Batcher
from app.storage.local.blocks import Block, SharedMemory
from app.storage.local.calls import DISK_SECONDS
from app.storage.local.process import WriterProcess
from app.storage.local.threads import has_ended
from app.storage.local.writer_program import Order

ORDERS_AT_ONCE: Final = 32
"""Most that the process carries out together."""
QUEUE_SECONDS: Final = 5.0
"""How long the first in the queue may have waited for the disk when one more is let in."""
ANSWER_SECONDS: Final = 3.0
"""How long the process may take to answer where it has nothing to write."""
BUSY_SECONDS: Final = 10.0
"""How long it may write before readiness calls that hanging and not busy."""
MOST_STUCK: Final = 8
"""Killed processes that the disk keeps from ending, until no more are started."""

_log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """What waits for the process: an order, or None to see that it answers at all."""

    order: Order | None
    block: Block | None
    since: float


class Writer:
    """Hands orders to the process, which is started when it is first needed, or needed again.

    One that does not answer in time is killed (ADR 29).

    Args:
        threads: How many fsyncs it may wait for at once.
        uploads: How many may hold a block at once.
    """

    def __init__(self, threads: int, uploads: int) -> None:
        self._threads = threads
        self._uploads = uploads
        self._items: Batcher[_Item, bytes | None] = Batcher(
            self._carry_out,
            max_concurrent=1,
            max_size=ORDERS_AT_ONCE,
            max_queue_delay=QUEUE_SECONDS,
            refusal=StorageUnavailable,
        )
        self._memory: SharedMemory | None = None
        self._process: WriterProcess | None = None
        self._stuck: list[WriterProcess] = []
        self._asked: Sequence[_Item] = ()
        """What the process has not answered yet."""
        self._asked_at = 0.0
        self._gave_up_at = 0.0
        """When a process was last killed for that."""
        self._is_closed = False
        self.is_suspect = True
        """Whether no order of the last group was carried out, or there was none yet."""

    def take_block(self) -> Block:
        """Lend a block, which must be given back.

        Raises:
            OSError: If there is no memory that can be shared.
            StorageUnavailable: If all are taken, or the writer is closed.
        """
        return self._shared_memory().take()

    def give_back(self, block: Block) -> None:
        """Take back a block that no order under way is about."""
        if self._memory is not None:
            self._memory.give_back(block)

    async def carry_out(self, order: Order, block: Block | None) -> bytes | None:
        """Have an order about a block carried out, together with others that wait for the same.

        It waits for its turn, and then for the disk, no longer than `DISK_SECONDS` each; behind
        an order that was given up no longer than that one.

        Returns:
            With a file's last order its SHA-256; None if several processes have written it.

        Raises:
            OSError: The system's error, `BrokenPipeError` if the process has ended, or
                `TimeoutError` if it has not answered in time.
            StorageUnavailable: If the disk keeps so many waiting that this one would wait too long,
                or the writer is closed.
        """
        outcome = self._items.submit(_Item(order, block, monotonic()))
        await has_ended(outcome)
        return outcome.result()

    async def check(self) -> None:
        """Have the process answer; while it works on orders, see that it has not done so for long.

        Raises:
            OSError: If it does not answer, or cannot be started.
        """
        if not self._asked:
            await self._items.submit(_Item(None, None, monotonic()))
        elif monotonic() - self._asked_at > BUSY_SECONDS:
            raise _silence(monotonic() - self._asked_at, self._asked[0])

    async def close(self) -> None:
        """End the process; no order is carried out any more."""
        self._is_closed = True
        if self._process is not None:
            await self._process.end()
        if self._memory is not None:
            self._memory.close()
        self._process = self._memory = None
        self._count_stuck()  # so that those that have ended by now are collected

    async def _carry_out(self, items: Sequence[_Item]) -> Sequence[bytes | Exception | None]:
        """Ask the process, but not about items that have waited too long for their turn."""
        now = monotonic()
        is_late = [
            item.since <= self._gave_up_at or now - item.since > DISK_SECONDS for item in items
        ]
        in_time = [item for item, late in zip(items, is_late, strict=True) if not late]
        outcomes = iter(await self._ask(in_time) if in_time else ())
        return [
            _silence(now - item.since, item) if late else next(outcomes)
            for item, late in zip(items, is_late, strict=True)
        ]

    async def _ask(self, items: Sequence[_Item]) -> Sequence[bytes | Exception | None]:
        """Have the process answer, if need be a new one."""
        works = False
        try:
            # Nobody else's until it has answered: no answer may be taken for another's.
            process = await self._take_process()
            outcomes = await self._answer(process, items)
            works = not all(isinstance(outcome, Exception) for outcome in outcomes)
        finally:
            self.is_suspect = not works
        return outcomes

    async def _answer(
        self, process: WriterProcess, items: Sequence[_Item]
    ) -> Sequence[bytes | Exception | None]:
        seconds = DISK_SECONDS if any(item.order for item in items) else ANSWER_SECONDS
        self._asked, self._asked_at = items, monotonic()
        try:
            async with asyncio.timeout(seconds):
                outcomes = await process.ask([item.order for item in items])
        except TimeoutError:
            await self._give_up(process, items, seconds)
            return [_silence(seconds, item) for item in items]
        except BaseException:
            process.kill()
            raise
        finally:
            self._asked = ()
        if self._is_closed:
            await process.end()
        else:
            self._process = process
        return [outcome.error() or outcome.digest() for outcome in outcomes]

    async def _take_process(self) -> WriterProcess:
        memory = self._shared_memory()
        process, self._process = self._process, None
        if process and not process.has_ended:
            return process
        if process:
            await process.end()
        stuck = self._count_stuck()
        if stuck >= MOST_STUCK:
            words = f"the disk keeps {stuck} killed writing processes from ending"
            raise TimeoutError(ETIMEDOUT, words)
        return await WriterProcess.start(memory.descriptor, self._threads)

    def _count_stuck(self) -> int:
        self._stuck = [process for process in self._stuck if not process.has_ended]
        return len(self._stuck)

    async def _give_up(
        self, process: WriterProcess, items: Sequence[_Item], seconds: float
    ) -> None:
        _log.error(
            "the process that writes uploads (pid %s) has not answered for %.0f s and is killed",
            process.pid,
            seconds,
        )
        if not await process.is_killed():
            self._stuck.append(process)
            for item in items:
                if item.block:
                    item.block.stuck_reader = process
        self._gave_up_at = monotonic()

    def _shared_memory(self) -> SharedMemory:
        """Give the memory, which is made when it is first needed; of a closed writer none again."""
        if self._is_closed:
            raise StorageUnavailable
        if self._memory is None:
            self._memory = SharedMemory(self._uploads)
        return self._memory


def _silence(seconds: float, item: _Item) -> TimeoutError:
    words = f"the process that writes uploads has not answered for {seconds:.0f} s"
    return TimeoutError(ETIMEDOUT, words, item.order.path if item.order else None)
