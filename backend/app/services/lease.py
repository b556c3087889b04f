"""Leases: for how long a proxy in front may serve a file without asking again (ADR 51)."""

import asyncio
from time import time
from typing import Final

MARGIN_SECONDS: Final = 0.25
"""How late the clock of a proxy may be, which reads it once for a batch of requests."""


class Lease:
    """What is given to a proxy for each file that was there, and is waited for after a delete.

    A proxy compares whole seconds of its own clock, and serves a file in the last one too.

    Args:
        seconds: How long one is, at most, less what is over of the present second.
        stale_seconds: For how long after it a proxy may go on that reaches no service.
    """

    def __init__(self, seconds: int, stale_seconds: int = 0) -> None:
        self._seconds = seconds
        self.stale_seconds = stale_seconds

    def end(self) -> int:
        """Return the last second, since 1970, in which what is there now may be served."""
        return int(time()) + self._seconds

    async def wait(self) -> None:
        """Wait until no proxy serves what was there before."""
        now = time()
        await asyncio.sleep(int(now) + self._seconds + 1 + MARGIN_SECONDS - now)
