"""The memory of all uploads of a process together, however many there are (ADR 57)."""

import asyncio
from bisect import insort
from itertools import count
from mmap import mmap
from time import monotonic
from typing import Final

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Overloaded

PART: Final = 8 * 1024 * 1024
"""Bytes of each part of an upload but the last: the least that S3 allows is 5 MiB, and the most
parts 10,000. So nearly all photographs are one request."""
BUDGET: Final = 8 * PART
"""Bytes that all uploads of a process hold in memory."""
WAIT_SECONDS: Final = 30.0
"""How long an upload waits for memory that others have."""
FAVOUR_SECONDS: Final = 10.0
"""How long the client of the favoured upload may take for the rest of a part, if others wait."""
_CHECK_SECONDS: Final = 1.0


class ByteBudget:
    """Grants memory to uploads, to the one that was begun first.

    When all is taken by parts that are not complete, none could ever be sent. So the memory of one
    whole part is kept for one upload at a time, the favoured one, until its part is sent. One whose
    client keeps others waiting fails.

    Args:
        size: Bytes in all, at least those of two parts.
        part: Bytes of a part.
    """

    def __init__(self, size: int = BUDGET, part: int = PART) -> None:
        self.part = part
        self._free = size - part
        self._numbers = count()
        self._waiting: list[Buffer] = []
        """In the order in which their uploads were begun."""
        self._favoured: Buffer | None = None
        self._favoured_at = 0.0

    def buffer(self) -> "Buffer":
        """Return the buffer of a new upload."""
        return Buffer(self, next(self._numbers))

    async def grant(self, buffer: "Buffer", size: int) -> None:
        """Count bytes for a buffer, which must have no more than those of a part then.

        Raises:
            StorageUnavailable: If others have the memory for too long.
        """
        if buffer is self._favoured:
            buffer.held += size
            return
        buffer.wanted = size
        insort(self._waiting, buffer, key=lambda other: other.number)
        self._share()
        if not buffer.wanted:
            return
        buffer.granted.clear()
        deadline = monotonic() + WAIT_SECONDS
        try:
            while buffer.wanted:
                if monotonic() >= deadline:
                    words = f"{len(self._waiting)} uploads wait for memory"
                    raise StorageUnavailable from Overloaded(words)
                await _wait(buffer.granted, _CHECK_SECONDS)
                self._require_progress()
        finally:
            if buffer.wanted:
                buffer.wanted = 0
                self._waiting.remove(buffer)

    def release(self, buffer: "Buffer") -> None:
        """Give the bytes of a buffer to others."""
        if buffer is self._favoured:
            self._favoured = None
        else:
            self._free += buffer.held
        buffer.held = 0
        self._share()

    def _share(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            if first.wanted <= self._free:
                self._free -= first.wanted
            elif self._favoured is None:
                self._favoured, self._favoured_at = first, monotonic()
                self._free += first.held
            else:
                return
            del self._waiting[0]
            first.held += first.wanted
            first.wanted = 0
            first.granted.set()

    def _require_progress(self) -> None:
        """Take the memory from the favoured upload if its client has had it for too long."""
        favoured = self._favoured
        if favoured and not favoured.is_sent and monotonic() - self._favoured_at > FAVOUR_SECONDS:
            favoured.lose()


class Buffer:
    """The bytes of an upload that are not sent yet, at most a part.

    They are in pages of their own, which the system gives when they are first written to, and has
    back at once: a heap would be left in pieces.
    """

    def __init__(self, budget: ByteBudget, number: int) -> None:
        self._budget = budget
        self.number = number
        self.held = 0
        """Bytes that are counted for it."""
        self.wanted = 0
        """Bytes that it waits for."""
        self.granted = asyncio.Event()
        self.is_sent = False
        """Whether the bytes are on their way, so that nobody waits for the client."""
        self._is_lost = False
        self._pages: mmap | None = None
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether it holds a whole part."""
        return self._size == self._budget.part

    async def fill(self, data: memoryview) -> int:
        """Copy as many bytes as there is room for in the part; return how many.

        Raises:
            StorageUnavailable: If there is no memory for them, or they were taken away.
        """
        begin = self._size
        size = min(len(data), self._budget.part - begin)
        self._require_bytes()
        await self._budget.grant(self, size)
        if self._pages is None:
            self._pages = mmap(-1, self._budget.part)
        self._size += size
        self._pages[begin : self._size] = data[:size]
        return size

    def send(self) -> memoryview:
        """Return all bytes, which count until they are released.

        Raises:
            StorageUnavailable: If they were taken away.
        """
        self._require_bytes()
        self.is_sent = True
        return memoryview(self._pages or b"")[: self._size]

    def release(self) -> None:
        """Hold nothing any more, and be ready for the next part."""
        self._pages, self._size = None, 0
        self.is_sent = False
        self._budget.release(self)

    def lose(self) -> None:
        """Hold nothing any more; the upload fails."""
        self._is_lost = True
        self.release()

    def _require_bytes(self) -> None:
        if self._is_lost:
            words = "the client was too slow while other uploads waited for memory"
            raise StorageUnavailable from Overloaded(words)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
