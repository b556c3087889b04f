"""Whether a file ends before its image does, from its bytes as they come by (ADR 26).

Nothing is decoded: an image ends with a marker (JPEG) or a chunk (PNG), and what has none behind
the beginning of its pixels was cut. What follows that end, such as a second image or a film, is
nobody's fault.
"""

import re
from typing import Final

from app.imaging.formats import ImageType
from app.imaging.walks import Walker, walk_to_pixels

_ENDS: Final = {
    ImageType.JPEG: re.compile(rb"\xff\xd9"),
    ImageType.PNG: re.compile(rb"\0\0\0\0IEND.{4}", re.DOTALL),
}
"""EOI (ITU-T T.81, B.1.1.3), which entropy-coded data do not contain; IEND with its checksum (PNG
specification, section 11.2.5). A regular expression finds two bytes three times as fast as `find`.
"""
_SEAM: Final = 11
"""Bytes of an end that may stand before those that come next."""
TAIL: Final = 4096
"""Bytes of the file's own end that are searched in any case."""


class EndFinder:
    """Looks for the end of an image.

    Args:
        image_type: What the file is, by its first bytes.
        everywhere: Search all bytes, which takes a third of a millisecond a megabyte. Otherwise
            the last few alone, which is enough for nearly all files.
    """

    def __init__(self, image_type: ImageType, *, everywhere: bool) -> None:
        self._walker = Walker(walk_to_pixels(image_type))
        self._end = _ENDS[image_type]
        self._everywhere = everywhere
        self._found = False
        self._tail = b""
        self._pixels = 0
        """Bytes since the beginning of the pixels."""

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        rest = self._walker.feed(memoryview(data))
        if self._found or not self._walker.kept:
            return
        if self._everywhere:
            seam = self._tail + rest[:_SEAM]
            self._found = bool(self._end.search(seam) or self._end.search(rest))
        self._pixels += len(rest)
        self._tail = bytes(rest[-TAIL:]) if len(rest) >= TAIL else (self._tail + rest)[-TAIL:]

    @property
    def truncated(self) -> bool | None:
        """Whether the bytes so far lack the end.

        None if their order is not understood, or where the end was not looked for everywhere.
        """
        if self._walker.complete and not self._walker.kept:
            return None
        if self._found or self._end.search(self._tail):
            return False
        return True if self._everywhere or self._pixels == len(self._tail) else None
