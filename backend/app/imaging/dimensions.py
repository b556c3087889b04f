"""Width and height of an image, from its header, without decoding anything (ADR 0017).

Two steps, each bounded. A walk over the file's parts, as its bytes pass by, reads size and
orientation. Of a JPEG or PNG it keeps the frame header. Pillow, which knows what that means, is
given it alone: a KiB, whatever a client sends, so that neither its time nor its memory needs
another limit.
"""

import math
import warnings
from io import BytesIO
from typing import Final

from PIL import Image, ImageFile, PngImagePlugin

from app.imaging.header import Header

TEXT_BYTES: Final = 8 * 1024
"""Most that Pillow may inflate of a PNG's texts; it is given none."""
MAX_SIDE: Final = 2**31 - 1
"""Pixels of a PNG's side (PNG specification, section 11.2.2); the columns hold as much."""
MAX_PIXELS: Final = 2**32
"""More than any JPEG or WebP has. A header with more is not believed."""


def measure(header: Header) -> tuple[int, int] | None:
    """Return width and height in pixels, as viewers show the image; None if they are unknown.

    Never raises.
    """
    size = _measure(header.frame) if header.frame else header.size
    if size is None or min(size) < 1 or max(size) > MAX_SIDE or math.prod(size) > MAX_PIXELS:
        return None
    return size[::-1] if header.is_turned else size


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


def _measure(frame: bytes) -> tuple[int, int] | None:
    try:
        with Image.open(BytesIO(frame), formats=("JPEG", "PNG")) as image:
            return image.size
    except Exception:  # noqa: BLE001 - Pillow's parsers raise errors of any kind
        return None
