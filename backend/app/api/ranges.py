"""The Range header: which bytes of a file a request asks for (RFC 9110, section 14)."""

import re
from typing import Final

_RANGE: Final = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """The file of `size` bytes has no byte of the requested range."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The requested range lies outside the file of {size} bytes.")
        self.size = size


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Return the start and length, in bytes, of the range of a file that a Range header names.

    None if the header is malformed, or has several ranges, and is to be ignored (section 14.2).

    Raises:
        RangeNotSatisfiable: If the range lies outside the file.
    """
    found = _RANGE.fullmatch(value.strip())
    first, last = found.groups() if found else ("", "")
    if first:
        start, end = int(first), min(int(last or size), size - 1)
        if last and int(last) < start:
            return None
    elif last:
        start, end = max(size - int(last), 0), size - 1
    else:
        return None
    if start > end:
        raise RangeNotSatisfiable(size)
    return start, end - start + 1
