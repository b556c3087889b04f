"""What the page cache has of a file, asked by reading it without waiting (preadv2(2))."""

import os
from typing import Final

NO_WAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
"""Of Linux. Elsewhere nobody can tell."""
SENT_AT_ONCE: Final = 256 * 1024
"""Bytes that are asked for, and then sent, at a time, so that other clients have their turn."""

_SCRATCH: Final = [bytearray(16 * 1024)] * (SENT_AT_ONCE // (16 * 1024))
"""Where bytes are read to that nobody needs: one buffer, again and again, in the L1 cache."""


def count_cached(descriptor: int, offset: int) -> int:
    """Return how many bytes of a file the page cache has from an offset on, at most `SENT_AT_ONCE`.

    Raises:
        OSError: If it has none, or that cannot be told.
    """
    return os.preadv(descriptor, _SCRATCH, offset, NO_WAIT or 0)


def is_cached(descriptor: int, offset: int, count: int) -> bool:
    """Return whether the page cache has all these bytes, at most `SENT_AT_ONCE`, of a file."""
    try:
        return count_cached(descriptor, offset) >= count
    except OSError:
        return False
