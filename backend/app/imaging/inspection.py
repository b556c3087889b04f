"""What the bytes of an image show as they pass by: its dimensions, and whether it is complete."""

from typing import NamedTuple

from app.imaging.dimensions import HeaderReader
from app.imaging.formats import ImageType
from app.imaging.truncation import EndFinder


class Facts(NamedTuple):
    """What was found out about a file; named as the columns of its row."""

    width: int | None
    height: int | None
    """Pixels, as viewers show the image; None where the header lacks them."""
    truncated: bool | None
    """Whether the file ends before its image does; None as `EndFinder.truncated`."""


class Inspection:
    """Looks at a file's bytes, which come in pieces of any size; memory and time are bounded.

    Args:
        image_type: What the file is, by its first bytes.
        everywhere: Look for the image's end in all bytes (see `EndFinder`).
    """

    def __init__(self, image_type: ImageType, *, everywhere: bool = False) -> None:
        self._header = HeaderReader(image_type)
        self._end = EndFinder(image_type, everywhere=everywhere)

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        self._header.feed(data)
        self._end.feed(data)

    async def facts(self) -> Facts:
        """Return what was found out. Never raises."""
        width, height = await self._header.measure() or (None, None)
        return Facts(width, height, self._end.truncated)
