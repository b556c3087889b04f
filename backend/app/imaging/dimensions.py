"""Width and height of an image, from its header, without decoding anything (ADR 0017).

Two steps, each bounded. A walk over the file's parts, as its bytes pass by, keeps the frame header
and reads the orientation. Pillow, which knows what a frame header means, is given that alone: a
KiB, whatever a client sends, so that neither its time nor its memory needs another limit.
"""

import asyncio
import warnings
from io import BytesIO
from typing import Final

from PIL import Image, ImageFile, PngImagePlugin

from app.imaging.formats import WALKS, ImageType
from app.imaging.header import MAX_HEADER_BYTES, Header
from app.imaging.walker import Walker

TEXT_BYTES: Final = 8 * 1024
"""Most that Pillow may inflate of a PNG's texts; it is given none."""
MAX_SIDE: Final = 2**31 - 1
"""Pixels of a PNG's side (PNG specification, section 11.2.2); the columns hold as much."""
MAX_PIXELS: Final = 2**32
"""More than any JPEG has. A header with more is not believed."""
THREAD_SECONDS: Final = 1.0
"""How long to wait for a thread, where all are held up by a slow disk."""


class HeaderReader:
    """Looks for the header in a file's bytes, as they pass by in pieces of any size.

    Args:
        image_type: What the file is, by its first bytes.
    """

    def __init__(self, image_type: ImageType) -> None:
        self._header = Header()
        self._walker = Walker(WALKS[image_type](self._header))
        self._bytes_left = MAX_HEADER_BYTES

    @property
    def complete(self) -> bool:
        """Whether more bytes would change nothing."""
        return self._walker.complete or not self._bytes_left

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        if not self.complete:
            part = memoryview(data)[: self._bytes_left]
            self._bytes_left -= len(part)
            self._walker.feed(part)

    async def measure(self) -> tuple[int, int] | None:
        """Return width and height in pixels, as viewers show the image; None if they are unknown.

        Never raises. Pillow works in a thread. One that does not come in time is not waited for,
        and where the system allows no more threads there is none.
        """
        if not self._header.frame:
            return None
        try:
            async with asyncio.timeout(THREAD_SECONDS):
                return await asyncio.to_thread(_measure, self._header)
        except (TimeoutError, RuntimeError):
            return None


def configure_pillow() -> None:
    """Set Pillow's limits for the whole process: once, where a process begins.

    Nothing here decodes, so no decompression bomb goes off; these are for what Pillow would do
    beyond reading the few KiB that it is given.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses more than twice as many
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    PngImagePlugin.MAX_TEXT_CHUNK = TEXT_BYTES
    PngImagePlugin.MAX_TEXT_MEMORY = TEXT_BYTES
    # Pillow warns of damage in words that a client chooses; Python would remember each.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _measure(header: Header) -> tuple[int, int] | None:
    try:
        with Image.open(BytesIO(header.frame), formats=("JPEG", "PNG")) as image:
            width, height = image.size
    except Exception:  # noqa: BLE001 - Pillow's parsers raise errors of any kind
        return None
    if max(width, height) > MAX_SIDE:
        return None
    return (height, width) if header.is_turned else (width, height)
