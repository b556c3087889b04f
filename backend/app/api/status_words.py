"""Amounts and times, as an operator reads them."""

from datetime import datetime
from html import escape
from itertools import pairwise
from math import log10
from typing import Final

_THOUSAND: Final = 1000
_PREFIXES: Final = "kMGTPE"
_UNITS: Final = (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def bytes_of(size: int) -> str:
    """Return a number of bytes with its unit, by thousands."""
    if size < _THOUSAND:
        return f"{size} bytes"
    power = min(int(log10(size) / 3), len(_PREFIXES))
    return f"{size / _THOUSAND**power:.3g} {_PREFIXES[power - 1]}B"


def duration_of(seconds: float) -> str:
    """Return a duration in its largest unit, and the next one where that says much more."""
    left = max(0, int(seconds))
    for (unit, length), (smaller, part) in pairwise(_UNITS):
        if left >= length:
            count, rest = divmod(left, length)
            name = f"{unit}s" if unit == "day" and count > 1 else unit
            is_more = rest >= part and count < 10 and unit != "min"  # noqa: PLR2004
            return f"{count} {name} {rest // part} {smaller}" if is_more else f"{count} {name}"
    return f"{left} s"


def moment_of(at: datetime, now: datetime) -> str:
    """Return a time as HTML: of the day in UTC, with date and year if those are others."""
    year = "" if at.year == now.year else f"{at.year} "
    day = "" if at.date() == now.date() else f"{at:%a} {at.day} {at:%b} {year}"
    return f'<time datetime="{escape(at.isoformat())}">{day}{at:%H:%M:%S}</time>'


def since_of(at: datetime, now: datetime) -> str:
    """Return as HTML since when something is so, and for how long."""
    return f"since {moment_of(at, now)} ({_together(duration_of((now - at).total_seconds()))})"


def ago_of(at: datetime, now: datetime) -> str:
    """Return as HTML when something was, and how long ago."""
    ago = f"{duration_of((now - at).total_seconds())} ago"
    return f"{moment_of(at, now)} ({_together(ago)})"


def _together(words: str) -> str:
    """Return words that stay on one line."""
    return words.replace(" ", "&nbsp;")
