"""How much freed memory a process keeps for itself."""

from typing import Final

_LARGEST: Final = 8 * 1024 * 1024
"""Bytes. Twice as much stays with the process (mallopt(3), M_MMAP_THRESHOLD)."""


def keep_freed_memory() -> None:
    """Have glibc keep the memory of a body's pieces for the next ones (ADR 55).

    By default it soon returns it to the system, which provides it again page by page, cleared, with
    a page fault for each. What it keeps follows the largest block that was freed so far; so one is
    allocated, of which no page is touched, and freed.
    """
    bytes(_LARGEST)
