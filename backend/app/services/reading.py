"""Reading something when somebody asks, no more often than it may be, and in nobody's time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic
from typing import Final, Generic, TypeVar

from app.domain.errors import ImageHostError

INTERVAL: Final = 5.0
"""Seconds from the start of one reading to that of the next, at least."""
FIRST_DEADLINE: Final = 0.5
"""Seconds that anybody waits for what is not known yet."""
DEADLINE: Final = 0.05
"""Seconds that anybody waits for what is known from the reading before."""
SHARE: Final = 0.01
"""How much of the time may be spent on one reading: it is repeated after a hundred times as long as
it took, or the one before it, so that one that had to connect first is soon repeated."""
MOST_PAUSE: Final = 60.0
"""Seconds from the start of one reading to that of the next, at most."""
CANCEL_SECONDS: Final = 1.0
"""How long a reading that is cancelled may take to end."""
KEPT_SECONDS: Final = 120.0
"""After which a reading says nothing any more: nobody has asked for so long."""

_Value = TypeVar("_Value")
_log = logging.getLogger(__name__)


class Reading(Generic[_Value]):
    """Reads one thing, no more often than it may be.

    Args:
        read: Reads it.
        share: How much of the time may be spent on it.
    """

    def __init__(self, read: Callable[[], Awaitable[_Value]], share: float) -> None:
        self.latest: _Value | None = None
        """What was read last; None if that has failed."""
        self._read = read
        self._share = share
        self._begun = float("-inf")
        self._due = float("-inf")
        self._seconds = 0.0
        """What the last one took."""
        self._task: asyncio.Task[None] | None = None

    async def renew(self) -> None:
        """Read it if that is due, and wait for it until the deadline."""
        if monotonic() - self._begun > KEPT_SECONDS:
            self.latest = None
        if self._task is None and monotonic() >= self._due:
            self._begun = monotonic()
            # For all who ask, so it logs under the id of none.
            self._task = asyncio.create_task(self._renew(), context=Context())
        if self._task:
            deadline = self._begun + (FIRST_DEADLINE if self.latest is None else DEADLINE)
            await asyncio.wait([self._task], timeout=deadline - monotonic())

    def repeat(self) -> None:
        """Let it be read again by who asks next: what it has waited for may be back."""
        self._due = monotonic()

    async def cancel(self) -> None:
        """End what is in progress, and wait no longer for what cannot be, such as a disk."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_SECONDS)

    async def _renew(self) -> None:
        try:
            self.latest = await self._read()
        except ImageHostError:
            self.latest = None
        except Exception:  # noqa: BLE001 - whatever it is, the others are known
            self.latest = None
            _log.exception("a figure cannot be read")
        finally:
            before, self._seconds = self._seconds, monotonic() - self._begun
            pause = min(min(before, self._seconds) / self._share, MOST_PAUSE)
            self._due = self._begun + max(INTERVAL, pause)
            self._task = None
