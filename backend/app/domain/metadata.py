"""What cameras and programs write into an image about how it was made; never where, or by whom.

A list of what is kept, not of what is dropped: a field that is not here does not leave the process
that reads the file. What is here is made harmless whoever found it, so that it can be checked again
after a process that has read hostile bytes.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

MAX_TEXT: Final = 1024
"""Bytes of a field in UTF-8; what is longer is cut."""
OFFSET: Final = re.compile(r"[+-](0\d|1[0-5]):[0-5]\d", re.ASCII)
"""Hours and minutes from UTC; PostgreSQL takes no more of them either."""

_TIME: Final = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d({OFFSET.pattern})?", re.ASCII)
_LEAST: Final = 1e-6
"""Of a number with decimals: zero means unknown, and a microsecond is no camera's."""

Value = str | int | float
Metadata = dict[str, Value]
"""Fields by their names, only those that the file has; none is None."""


def clean(found: object) -> Metadata:
    """Return the valid fields of what was found; what is unknown, mistyped or absurd is dropped."""
    if not isinstance(found, Mapping):
        return {}
    cleaned = ((name, field(found.get(name))) for name, field in _FIELDS.items())
    return {name: value for name, value in cleaned if value is not None}


def _text(value: object) -> str | None:
    """Return one line without control characters and marks of direction; None if it is empty."""
    if not isinstance(value, str):
        return None
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return line.encode()[:MAX_TEXT].decode(errors="ignore").rstrip() or None


def _time(value: object) -> str | None:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).isoformat()
    except ValueError:
        return None


def _whole(value: object, most: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 1 <= value <= most else None


def _decimal(value: object, most: float) -> float | None:
    """Return a number with six significant digits; more are noise of a division."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(f"{value:.6g}") if _LEAST <= value <= most else None


_FIELDS: Final[Mapping[str, Callable[[object], Value | None]]] = {
    "camera_make": _text,
    "camera_model": _text,
    "lens": _text,
    "software": _text,
    "taken_at": _time,
    "exposure_time": partial(_decimal, most=1e6),
    "f_number": partial(_decimal, most=1000.0),
    "iso": partial(_whole, most=10_000_000),
    "focal_length": partial(_decimal, most=100_000.0),
    "focal_length_35mm": partial(_whole, most=65_535),
    "orientation": partial(_whole, most=8),
}
"""How each field is made harmless; the units are in `app.schemas.image`."""
