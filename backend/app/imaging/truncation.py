"""Whether a file ends before its image does, from its bytes as they pass by (ADR 26).

Nothing is decoded. A walk goes to the end of a GIF, WebP, AVIF or HEIC image, whose parts say how
long they are. A JPEG ends with a marker and a PNG with a chunk, and one that has none behind the
beginning of its pixels was cut. What follows the end, such as a second image or a film, does not
matter.
"""

import re
from typing import Final

TAIL: Final = 4096
"""Bytes of the file's own end that are searched in any case."""

_SEAM: Final = 11
"""Most bytes of an end that may come before the next piece."""


class EndFinder:
    """Looks for the end of an image behind the beginning of its pixels.

    Args:
        end: What an image ends with; None if it has ended where its walk has.
        everywhere: Search all bytes, which takes a third of a millisecond a megabyte. Otherwise
            the last few alone, which is enough for nearly all files.
    """

    def __init__(self, end: re.Pattern[bytes] | None, *, everywhere: bool) -> None:
        self._end = end
        self._everywhere = everywhere
        self._found = end is None
        self._tail = b""
        self._pixel_bytes = 0
        """Bytes since the beginning of the pixels."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes."""
        if self._found or not self._end:
            return
        if self._everywhere:
            seam = self._tail + data[:_SEAM]
            self._found = bool(self._end.search(seam) or self._end.search(data))
        self._pixel_bytes += len(data)
        self._tail = bytes(data[-TAIL:]) if len(data) >= TAIL else (self._tail + data)[-TAIL:]

    @property
    def truncated(self) -> bool | None:
        """Whether the bytes so far lack the end; None where it was not looked for everywhere."""
        if self._found or not self._end or self._end.search(self._tail):
            return False
        return True if self._everywhere or self._pixel_bytes == len(self._tail) else None
