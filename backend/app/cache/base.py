"""What a cache is: values under keys, for a while, for all processes.

It may lose anything at any time. What it must not do is to keep what was read before a change and
stored after it. So an invalidated key has a tombstone for a while, in which nothing can be filled
under it; and what was looked up too long ago is not filled at all.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Lookup(NamedTuple):
    """What was found, and what allows `fill` to add what was not."""

    found: Mapping[str, bytes]
    """Values by their keys, without those that are not there or were invalidated recently."""
    permit: object | None
    """Made and read by the cache alone; None where nothing may be filled."""


class CacheFigures(NamedTuple):
    """What one process has seen of a cache since its start."""

    is_available: bool
    hits: int
    misses: int
    errors: int
    """Operations that failed, or were refused for want of memory."""
    mean_ms: float
    """Milliseconds an operation."""


class Cache(Protocol):
    """Keeps values under keys. Each call is over within a fraction of a second."""

    @property
    def figures(self) -> CacheFigures:
        """What this process has seen of the cache."""

    def connect(self) -> None:
        """Begin to connect, in the background; the first operation does so, too."""

    async def lookup(self, keys: Sequence[str]) -> Lookup:
        """Return what is there. Never raises: of a cache that is unavailable, nothing is found."""

    async def fill(self, lookup: Lookup, values: Mapping[str, bytes]) -> None:
        """Add values that were read after `lookup`, unless their keys were invalidated since.

        Never raises: what cannot be added is left out.
        """

    async def invalidate(self, keys: Sequence[str], seconds: int) -> None:
        """Remove values, and let none be filled for so many seconds.

        Raises:
            CacheUnavailable: If any may still be there, or may still be filled.
        """

    async def close(self) -> None:
        """Close every connection."""
