"""What the bytes of an image show as they pass by: its dimensions, and whether it is complete."""

from typing import NamedTuple

from app.imaging.dimensions import measure
from app.imaging.formats import ENDS, WALKS, ImageType
from app.imaging.header import Header
from app.imaging.truncation import EndFinder
from app.imaging.walker import Walker


class Facts(NamedTuple):
    """What was found out about a file; named as the columns of its row."""

    width: int | None
    height: int | None
    """Pixels, as viewers show the image; None where the header lacks them."""
    truncated: bool | None
    """Whether the file ends before its image does; None as `Inspection.truncated`."""


class Inspection:
    """Looks at a file's bytes, which come in pieces of any size; memory and time are bounded.

    Args:
        image_type: What the file is, by its first bytes.
        everywhere: Look for the image's end in all bytes (see `EndFinder`).
    """

    def __init__(self, image_type: ImageType, *, everywhere: bool = False) -> None:
        self._header = Header()
        self._walker = Walker(WALKS[image_type](self._header))
        self._end = EndFinder(ENDS.get(image_type), everywhere=everywhere)

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        rest = self._walker.feed(memoryview(data))
        if self._walker.result:
            self._end.feed(rest)

    @property
    def has_header(self) -> bool:
        """Whether more bytes would not change the dimensions."""
        return self._walker.complete

    @property
    def is_image(self) -> bool:
        """Whether the file is what its first bytes say, as far as it has come."""
        return self._header.is_image

    @property
    def truncated(self) -> bool | None:
        """Whether the bytes so far lack the image's end.

        None if their order is not understood, or where the end was not looked for everywhere.
        """
        if not self._walker.complete:
            return True
        return self._end.truncated if self._walker.result else None

    def dimensions(self) -> tuple[int, int] | None:
        """Return width and height, as `measure`. Never raises."""
        return measure(self._header)

    def facts(self) -> Facts:
        """Return what was found out. Never raises."""
        width, height = self.dimensions() or (None, None)
        return Facts(width, height, self.truncated)
