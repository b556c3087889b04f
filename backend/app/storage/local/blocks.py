"""The memory that service and writing process share, allocated to uploads a block at a time."""

import mmap
import os
from heapq import heappop, heappush
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO, Final

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Overloaded
from app.storage.local.writer_program import named

if TYPE_CHECKING:
    from app.storage.local.process import WriterProcess

BLOCK: Final = 512 * 1024
"""Bytes that an upload holds in memory, and has written at a time."""
KEPT: Final = 32
"""Blocks whose memory is kept for the next uploads. That of others is returned to the system."""


class Block:
    """A piece of the shared memory.

    Args:
        memory: All of it.
        begin: Where the block begins in it.
    """

    def __init__(self, memory: mmap.mmap, begin: int) -> None:
        self._memory = memory
        self.begin = begin
        self.filled = 0
        self.stuck_process: WriterProcess | None = None
        """One that was killed, and may read the block until it has ended."""

    @property
    def is_full(self) -> bool:
        """Whether there is no room left."""
        return self.filled == BLOCK

    def fill(self, data: memoryview) -> int:
        """Copy as many bytes as there is room for; return how many."""
        begin = self.begin + self.filled
        count = min(len(data), BLOCK - self.filled)
        self._memory[begin : begin + count] = data[:count]
        self.filled += count
        return count


class SharedMemory:
    """All blocks. The service receives into them, and the process writes from them.

    The first free one is always taken, so that few are in use where few are needed.
    """

    def __init__(self, blocks: int) -> None:
        with named("memory to share with the process that writes uploads", "memfd:uploads"):
            self._file = _open_unnamed_file()
            self.descriptor = self._file.fileno()
            try:
                os.ftruncate(self.descriptor, blocks * BLOCK)
                self._memory = mmap.mmap(self.descriptor, blocks * BLOCK)
            except BaseException:
                self._file.close()
                raise
        self._free = [number * BLOCK for number in range(blocks)]
        self._withheld: list[Block] = []

    def take(self) -> Block:
        """Allocate a block.

        Raises:
            StorageUnavailable: If all are taken.
        """
        if self._withheld:
            withheld, self._withheld = self._withheld, []
            for block in withheld:
                self.release(block)
        if not self._free:
            raise StorageUnavailable from Overloaded("all blocks are taken")
        return Block(self._memory, heappop(self._free))

    def release(self, block: Block) -> None:
        """Free a block; it is allocated again once no process can read it any more."""
        if block.stuck_process and not block.stuck_process.has_ended:
            self._withheld.append(block)
            return
        heappush(self._free, block.begin)
        if block.begin >= KEPT * BLOCK and hasattr(mmap, "MADV_REMOVE"):  # of Linux
            self._memory.madvise(mmap.MADV_REMOVE, block.begin, BLOCK)

    def close(self) -> None:
        """Release the memory; a process that has it keeps it until it ends."""
        self._memory.close()
        self._file.close()


def _open_unnamed_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):  # of Linux: never written to a disk
        return os.fdopen(os.memfd_create("uploads"), "r+b")
    return TemporaryFile()
