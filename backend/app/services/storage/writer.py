"""The process that writes uploads to the disk, as the service sees it (ADR 20).

A thread would share the interpreter's lock with the event loop, and each of its system calls would
take that lock from the loop: nearly half of what an upload cost.
"""

import asyncio
import json
import logging
import mmap
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from errno import EPIPE
from heapq import heappop, heappush
from socket import socketpair
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from app.errors import StorageUnavailable
from app.services.coalescing import Coalescer, Congestion
from app.services.storage import writer_program
from app.services.storage.threads import to_the_end
from app.services.storage.writer_program import Order

BLOCK: Final = 256 * 1024
"""Bytes that an upload holds in memory, and hands over at a time."""
KEPT: Final = 64
"""Blocks whose memory is kept for the next uploads. That of others goes back to the system."""
ORDERS_AT_ONCE: Final = 32
"""Most that the process carries out together."""
PATIENCE: Final = 5.0
"""Seconds for which others may have waited for the disk when one more may wait."""
END_SECONDS: Final = 5.0
"""How long the process may take to end before it is killed."""
PROGRAM: Final = writer_program.__file__

_log = logging.getLogger(__name__)


class Block:
    """A piece of the memory that service and process share.

    Args:
        memory: All of it.
        begin: Where the block stands in it.
    """

    def __init__(self, memory: mmap.mmap, begin: int) -> None:
        self._memory = memory
        self.begin = begin
        self.filled = 0

    @property
    def is_full(self) -> bool:
        """Whether there is no room left."""
        return self.filled == BLOCK

    def fill(self, data: memoryview) -> int:
        """Take as many bytes as there is room for; tell how many."""
        begin = self.begin + self.filled
        count = min(len(data), BLOCK - self.filled)
        self._memory[begin : begin + count] = data[:count]
        self.filled += count
        return count


class Writer:
    """Hands orders to the process, which is started when it is first needed, or needed again.

    Args:
        threads: How many fsyncs it may wait for at once.
        uploads: How many may hold a block at once.
    """

    def __init__(self, threads: int, uploads: int) -> None:
        self._threads = threads
        self._uploads = uploads
        self._orders: Coalescer[Order, None] = Coalescer(
            self._carry_out,
            at_once=1,
            most=ORDERS_AT_ONCE,
            patience=PATIENCE,
            busy=StorageUnavailable,
        )
        self._memory: _SharedMemory | None = None
        self._process: _Process | None = None
        self._is_closed = False

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

    async def carry_out(self, order: Order) -> None:
        """Have an order carried out, together with others that wait for the same.

        Raises:
            OSError: The system's error, or `BrokenPipeError` if the process has ended.
            StorageUnavailable: If the disk keeps so many waiting that this one would wait too long,
                or the writer is closed.
        """
        await to_the_end(self._orders.submit(order))

    async def close(self) -> None:
        """End the process; no order is carried out any more."""
        self._is_closed = True
        if self._process is not None:
            await self._process.end()
        if self._memory is not None:
            self._memory.close()
        self._process = self._memory = None

    async def _carry_out(self, orders: Sequence[Order]) -> Sequence[Exception | None]:
        memory = self._shared_memory()
        # Nobody else's until it has answered: no answer may be taken for another's.
        process, self._process = self._process, None
        if process and process.is_lost:
            await process.end()
            process = None
        process = process or await _Process.start(memory, self._threads)
        numbers = await process.ask(orders)
        if self._is_closed:
            await process.end()
        else:
            self._process = process
        return [OSError(number, os.strerror(number)) if number else None for number in numbers]

    def _shared_memory(self) -> "_SharedMemory":
        """Give the memory, which is made when it is first needed; of a closed writer none again."""
        if self._is_closed:
            raise StorageUnavailable
        if self._memory is None:
            self._memory = _SharedMemory(self._uploads)
        return self._memory


class _SharedMemory:
    """All blocks. The process writes from it what the service has received into it.

    The first free one is always taken, so that few are in use where few are needed.
    """

    def __init__(self, blocks: int) -> None:
        self._file = _open_nameless_file()
        self.descriptor = self._file.fileno()
        try:
            os.ftruncate(self.descriptor, blocks * BLOCK)
            self._memory = mmap.mmap(self.descriptor, blocks * BLOCK)
        except BaseException:
            self._file.close()
            raise
        self._free = [number * BLOCK for number in range(blocks)]

    def take(self) -> Block:
        if not self._free:
            raise StorageUnavailable from Congestion("all blocks are taken")
        return Block(self._memory, heappop(self._free))

    def give_back(self, block: Block) -> None:
        heappush(self._free, block.begin)
        if block.begin >= KEPT * BLOCK and hasattr(mmap, "MADV_REMOVE"):  # of Linux
            self._memory.madvise(mmap.MADV_REMOVE, block.begin, BLOCK)

    def close(self) -> None:
        self._memory.close()
        self._file.close()


def _open_nameless_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):  # of Linux: never written to a disk
        return os.fdopen(os.memfd_create("uploads"), "r+b")
    return TemporaryFile()


class _Process:
    """One run of the program."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        answers: asyncio.StreamReader,
        orders: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._answers = answers
        self._orders = orders

    @classmethod
    async def start(cls, memory: _SharedMemory, threads: int) -> "_Process":
        ours, theirs = socketpair()
        encoding = f"-Xutf8={sys.flags.utf8_mode}"  # names of files must mean the same to both
        program = [sys.executable, "-I", "-S", encoding, PROGRAM]
        command = [*program, str(memory.descriptor), str(threads)]
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: ASYNC220, S603 - at once; our own arguments
                    command, stdin=theirs.fileno(), pass_fds=[memory.descriptor]
                )
            except OSError:
                ours.close()
                raise
        return cls(process, *await asyncio.open_unix_connection(sock=ours))

    @property
    def is_lost(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    async def ask(self, orders: Sequence[Order]) -> list[int]:
        """Have orders carried out; give the system's error number for each."""
        answer = b""
        with suppress(ConnectionError):
            self._orders.write(json.dumps(orders).encode() + b"\n")
            answer = await self._answers.readline()
        if not answer.endswith(b"\n"):
            await self.end()
            raise BrokenPipeError(EPIPE, os.strerror(EPIPE))
        numbers: list[int] = json.loads(answer)
        return numbers

    async def end(self) -> None:
        """Let it end, and say in the log if it did so in another way than it should."""
        self._orders.close()
        if status := await asyncio.to_thread(self._wait):
            _log.error("the process that writes uploads has ended with status %s", status)

    def _wait(self) -> int | None:
        """Give its status; None if even a kill does not end it, for the disk keeps it waiting."""
        try:
            return self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        return None
