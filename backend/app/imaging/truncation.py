"""Whether a file ends before its image does, from its bytes as they pass by (ADR 26).

Nothing is decoded: an image ends with a marker (JPEG) or a chunk (PNG), and one that has none
behind the beginning of its pixels was cut. What follows that end, such as a second image or a film,
does not matter.
"""

from typing import Final

from app.imaging.formats import ENDS, WALKS, ImageType
from app.imaging.header import UPRIGHT, Header
from app.imaging.walker import Walker

TAIL: Final = 4096
"""Bytes of the file's own end that are searched in any case."""

_SEAM: Final = 11
"""Most bytes of an end that may come before the next piece."""


class EndFinder:
    """Looks for the end of an image.

    Args:
        image_type: What the file is, by its first bytes.
        everywhere: Search all bytes, which takes a third of a millisecond a megabyte. Otherwise
            the last few alone, which is enough for nearly all files.
    """

    def __init__(self, image_type: ImageType, *, everywhere: bool) -> None:
        known = Header(frame=b"any", orientation=UPRIGHT)  # so that the walk keeps nothing
        self._walker = Walker(WALKS[image_type](known))
        self._end = ENDS[image_type]
        self._everywhere = everywhere
        self._found = False
        self._tail = b""
        self._pixel_bytes = 0
        """Bytes since the beginning of the pixels."""

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        rest = self._walker.feed(memoryview(data))
        if self._found or not self._walker.result:
            return
        if self._everywhere:
            seam = self._tail + rest[:_SEAM]
            self._found = bool(self._end.search(seam) or self._end.search(rest))
        self._pixel_bytes += len(rest)
        self._tail = bytes(rest[-TAIL:]) if len(rest) >= TAIL else (self._tail + rest)[-TAIL:]

    @property
    def truncated(self) -> bool | None:
        """Whether the bytes so far lack the end.

        None if their order is not understood, or where the end was not looked for everywhere.
        """
        if self._walker.complete and not self._walker.result:
            return None
        if self._found or self._end.search(self._tail):
            return False
        return True if self._everywhere or self._pixel_bytes == len(self._tail) else None
