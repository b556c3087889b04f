"""The process that writes uploads to the disk, as the service sees it (ADR 20).

A thread would share the interpreter's lock with the event loop, and each of its system calls would
take that lock from the loop: nearly half of what an upload cost.
"""

import asyncio
import logging
from collections.abc import Sequence
from errno import EPIPE, ETIMEDOUT
from time import monotonic
from typing import Final, NamedTuple

from app.domain.errors import StorageUnavailable
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.storage.local.blocks import Block, SharedMemory
from app.storage.local.calls import DISK_SECONDS, storage_errors
from app.storage.local.process import WriterProcess
from app.storage.local.threads import shield_until_done
from app.storage.local.writer_program import Order

BATCH_SIZE: Final = 32
"""Most orders that the process carries out together."""
QUEUE_SECONDS: Final = 5.0
"""How long the first in the queue may have waited for the disk when one more is accepted."""
ANSWER_SECONDS: Final = 3.0
"""How long the process may take to answer where it has nothing to write."""
BUSY_SECONDS: Final = 10.0
"""How long it may write before readiness calls that hanging and not busy."""
MOST_STUCK: Final = 8
"""Killed processes that the disk keeps from ending, until no more are started."""

_log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """What is queued for the process: an order, or None to see that it answers at all."""

    order: Order | None
    block: Block | None
    since: float


class Writer:
    """Sends orders to the process, which is started when it is first needed, or needed again.

    One that does not answer in time is killed (ADR 29).

    Args:
        threads: How many fsyncs it may wait for at once.
        uploads: How many may hold a block at once.
        observer: Told of the batches of orders.
    """

    def __init__(self, threads: int, uploads: int, observer: Observer = SILENT) -> None:
        self._threads = threads
        self._uploads = uploads
        self._items: Batcher[_Item, bytes | None] = Batcher(
            "file_writes",
            self._carry_out,
            max_size=BATCH_SIZE,
            max_queue_delay=QUEUE_SECONDS,
            refusal=StorageUnavailable,
            observer=observer,
        )
        self._memory: SharedMemory | None = None
        self._process: WriterProcess | None = None
        self._stuck: list[WriterProcess] = []
        self._unanswered: Sequence[_Item] = ()
        self._asked_at = 0.0
        self._killed_at = 0.0
        """When a process was last killed because it did not answer."""
        self._is_closed = False
        self.is_suspect = True
        """Whether every order of the last batch failed, or there was none yet."""

    def take_block(self) -> Block:
        """Allocate a block, which must be released.

        Raises:
            StorageError: If there is no memory that can be shared.
            StorageUnavailable: If all are taken, or the writer is closed.
        """
        with storage_errors():
            return self._shared_memory().take()

    def release(self, block: Block) -> None:
        """Free a block of which no order is in progress."""
        if self._memory is not None:
            self._memory.release(block)

    async def carry_out(self, order: Order, block: Block | None) -> bytes | None:
        """Have an order about a block carried out, in a batch with those that are queued with it.

        It waits in the queue, and then for the disk, no longer than `DISK_SECONDS` each; behind
        a batch that timed out no longer than that one.

        Returns:
            With a file's last order its SHA-256; None if several processes have written it.

        Raises:
            StorageError: From the system's error, `BrokenPipeError` if the process has ended, or
                `TimeoutError` if it has not answered in time.
            StorageUnavailable: If the disk is overloaded, or the writer is closed.
        """
        outcome = self._items.submit(_Item(order, block, monotonic()))
        await shield_until_done(outcome)
        with storage_errors():
            return outcome.result()

    async def probe(self) -> None:
        """Have the process answer; while it works on orders, see that it has not done so for long.

        Raises:
            StorageError: If it does not answer, or cannot be started.
        """
        with storage_errors():
            if not self._unanswered:
                await self._items.submit(_Item(None, None, monotonic()))
            elif monotonic() - self._asked_at > BUSY_SECONDS:
                raise _no_answer(monotonic() - self._asked_at, self._unanswered[0])

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
        """Ask the process, but not about items that have been queued for too long."""
        now = monotonic()
        late = [item.since <= self._killed_at or now - item.since > DISK_SECONDS for item in items]
        in_time = [item for item, is_late in zip(items, late, strict=True) if not is_late]
        results = iter(await self._ask(in_time) if in_time else ())
        return [
            _no_answer(now - item.since, item) if is_late else next(results)
            for item, is_late in zip(items, late, strict=True)
        ]

    async def _ask(self, items: Sequence[_Item]) -> Sequence[bytes | Exception | None]:
        """Have the process answer, if need be a new one."""
        works = False
        try:
            # Nobody else's until it has answered: no answer may be taken for another's.
            process = await self._take_process()
            results = await self._answer(process, items)
            works = not all(isinstance(result, Exception) for result in results)
        finally:
            self.is_suspect = not works
        return results

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

    async def _answer(
        self, process: WriterProcess, items: Sequence[_Item]
    ) -> Sequence[bytes | Exception | None]:
        seconds = DISK_SECONDS if any(item.order for item in items) else ANSWER_SECONDS
        self._unanswered, self._asked_at = items, monotonic()
        try:
            async with asyncio.timeout(seconds):
                outcomes = await process.ask([item.order for item in items])
        except TimeoutError:
            await self._kill(process, items, seconds)
            return [_no_answer(seconds, item) for item in items]
        except BaseException:
            await process.killed()
            raise
        finally:
            self._unanswered = ()
        if self._is_closed:
            await process.end()
        else:
            self._process = process
        return [outcome.error() or outcome.digest() for outcome in outcomes]

    async def _kill(self, process: WriterProcess, items: Sequence[_Item], seconds: float) -> None:
        _log.error(
            "the process that writes uploads (pid %s) has not answered for %.0f s and is killed",
            process.pid,
            seconds,
        )
        if not await process.killed():
            self._stuck.append(process)
            for item in items:
                if item.block:
                    item.block.stuck_process = process
        self._killed_at = monotonic()

    def _count_stuck(self) -> int:
        self._stuck = [process for process in self._stuck if not process.has_ended]
        return len(self._stuck)

    def _shared_memory(self) -> SharedMemory:
        """Return the memory, which is made when it is first needed, unless the writer is closed."""
        if self._is_closed:
            raise StorageUnavailable from BrokenPipeError(EPIPE, "the writer of uploads is closed")
        if self._memory is None:
            self._memory = SharedMemory(self._uploads)
        return self._memory


def _no_answer(seconds: float, item: _Item) -> TimeoutError:
    words = f"the process that writes uploads has not answered for {seconds:.0f} s"
    return TimeoutError(ETIMEDOUT, words, item.order.path if item.order else None)
