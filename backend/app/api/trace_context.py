"""The header that says which trace a request is part of (W3C Trace Context, level 1)."""

import re
from collections.abc import Sequence
from typing import Final

_TRACEPARENT: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
    rb"(?P<more>-.*)?"
)
_INVALID: Final = b"ff"
"""No version."""
_ENDS_THERE: Final = b"00"
"""The version of level 1; later ones may have more fields."""


def parse_traceparent(values: Sequence[bytes]) -> str:
    """Return the id of the trace that the values of `traceparent` name.

    Empty if there is not one value, or it is malformed: it is to be ignored then (section 3.2).
    """
    found = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if not found or found["version"] == _INVALID or not found["parent"].strip(b"0"):
        return ""
    if found["more"] and found["version"] == _ENDS_THERE:
        return ""
    return found["trace"].decode() if found["trace"].strip(b"0") else ""
