"""The memory of all uploads of a process together, however many there are (ADR 57)."""

import asyncio
from bisect import insort
from heapq import nlargest
from itertools import count, takewhile
from time import monotonic
from typing import Final

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Overloaded

PART: Final = 5 * 1024 * 1024
"""Bytes of each part of an upload but the last: the least that S3 allows, which leaves memory to
most uploads at once. It allows 10,000 parts. So most photographs are one request."""
BUDGET: Final = 64 * 1024 * 1024
"""Bytes that all uploads of a process hold in memory."""
FULLEST: Final = 2
"""How many parts, those that have most, never wait for memory."""
WAIT_SECONDS: Final = 30.0
"""How long an upload waits for memory that others have."""
SLOW_SECONDS: Final = 10.0
"""How long an upload waits before clients lose their memory that have been slow for as long."""
SLOW_RATE: Final = 16 * 1024
"""Bytes a second; a client that sends fewer is slow."""


class Share:
    """What one upload has of the memory, and how quickly its client fills it."""

    def __init__(self) -> None:
        self.held = 0
        """Bytes that are counted for it, all of one part."""
        self.wanted = 0
        """Bytes that it waits for."""
        self.number = 0
        """Its place in the order in which parts were begun."""
        self.granted = asyncio.Event()
        """Is set when it does not wait any longer."""
        self.is_sent = False
        """Whether the part is on its way to the store, so that nobody waits for the client."""
        self.is_lost = False
        """Whether its bytes were taken away."""
        self._seconds = 0.0
        """How long its client may send nothing before it is slow; less than 0 = how long it is."""
        self._since = 0.0
        """As of when."""

    def begin_part(self, number: int) -> None:
        """Begin a part, with nothing held."""
        self.number = number
        self._seconds = SLOW_SECONDS
        self._since = monotonic()

    def begin_wait(self, size: int) -> None:
        """Wait for so many bytes; what passes now is not the client's time."""
        self._seconds = self.seconds_left()
        self.wanted = size
        self.granted.clear()

    def end_wait(self) -> None:
        """Wait no longer."""
        self._since = monotonic()
        self.wanted = 0
        self.granted.set()

    def hold(self, size: int) -> None:
        """Hold so many bytes more, which the client has sent."""
        self._seconds = min(SLOW_SECONDS, self.seconds_left() + size / SLOW_RATE)
        self._since = monotonic()
        self.held += size

    def seconds_left(self) -> float:
        """Return how long the client may send nothing before it is slow; 0 or less: it is."""
        return self._seconds - (0.0 if self.wanted else monotonic() - self._since)

    def lose(self) -> None:
        """Hold nothing any more; the upload fails."""
        self.is_lost = True


class ByteBudget:
    """Grants memory to uploads, to the part that was begun first.

    When all is taken by parts that are not complete, none could ever be sent. So what the fullest
    parts lack is kept for them: one that is less full gets memory only if there is more. Those can
    always go on and leave theirs, as in the banker's algorithm.

    Args:
        size: Bytes in all, at least those of a part.
        part: Bytes of a part.
    """

    def __init__(self, size: int = BUDGET, part: int = PART) -> None:
        self.part = part
        self._size = size
        self._free = size
        self._numbers = count()
        self._holding: set[Share] = set()
        self._waiting: list[Share] = []
        """In the order in which their parts were begun."""

    @property
    def is_scarce(self) -> bool:
        """Whether more than half of the memory is taken."""
        return self._free < self._size / 2

    async def grant(self, share: Share, size: int) -> None:
        """Count bytes for an upload, which must have no more than those of a part then.

        Raises:
            StorageUnavailable: If others have the memory for too long.
        """
        if not share.held:
            share.begin_part(next(self._numbers))
        if not self._waiting and self._free - size >= FULLEST * self.part:
            self._hold(share, size)
            return
        share.begin_wait(size)
        insort(self._waiting, share, key=lambda other: other.number)
        self._give()
        end = monotonic() + WAIT_SECONDS
        try:
            while share.wanted:
                left = end - monotonic()
                if left <= 0:
                    words = f"{len(self._waiting)} uploads wait for memory"
                    raise StorageUnavailable from Overloaded(words)
                if not await _is_set(share.granted, min(left, SLOW_SECONDS)):
                    self._take_from_slow(share)
        finally:
            self._withdraw(share)

    def release(self, share: Share) -> None:
        """Give the bytes of an upload to others."""
        self._withdraw(share)
        self._free += share.held
        share.held = 0
        self._holding.discard(share)
        self._give()

    def _give(self) -> None:
        """Grant what the fullest parts wait for, and then the others in their order."""
        while self._waiting:
            for share in (*self._fullest(), self._waiting[0]):
                if share.wanted and self._fits(share, share.wanted):
                    break
            else:
                return
            size = share.wanted
            self._withdraw(share)
            self._hold(share, size)

    def _fullest(self) -> list[Share]:
        return nlargest(FULLEST, self._holding, key=lambda share: share.held)

    def _fits(self, share: Share, size: int) -> bool:
        """Return whether as much is left as the parts lack that are fuller than this one."""
        fuller = takewhile(lambda other: other is not share, self._fullest())
        return self._free - size >= sum(self.part - other.held for other in fuller)

    def _hold(self, share: Share, size: int) -> None:
        self._holding.add(share)
        self._free -= size
        share.hold(size)

    def _take_from_slow(self, share: Share) -> None:
        """Take memory from those slow for longest, until an upload has enough for its part."""
        slow = [one for one in self._holding if not one.is_sent and one.seconds_left() <= 0]
        for other in sorted(slow, key=Share.seconds_left):
            if self._fits(share, self.part - share.held):
                break
            if other is not share:
                other.lose()

    def _withdraw(self, share: Share) -> None:
        if share.wanted:
            self._waiting.remove(share)
            share.end_wait()


async def _is_set(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
