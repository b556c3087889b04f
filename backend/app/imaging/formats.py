"""The accepted image types: what a new one needs is named here, and is in a module of its own."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from app.imaging import gif, isobmff, jpeg, png, webp
from app.imaging.header import Header
from app.imaging.walker import Walk

HEAD_BYTES: Final = 256
"""How many bytes of a file's start `detect` needs, or all of a shorter file."""

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_START: Final = b"\xff\xd8\xff"


class ImageType(StrEnum):
    """An accepted type; the value is its media type."""

    JPEG = "image/jpeg"
    PNG = "image/png"
    GIF = "image/gif"
    WEBP = "image/webp"
    AVIF = "image/avif"
    HEIC = "image/heic"

    @property
    def extension(self) -> str:
        """The file name ending that new files get, with its dot."""
        return EXTENSIONS[self][0]


EXTENSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    ImageType.JPEG: (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".pjpeg", ".pjp"),
    ImageType.PNG: (".png",),
    ImageType.GIF: (".gif",),
    ImageType.WEBP: (".webp",),
    ImageType.AVIF: (".avif", ".avifs"),
    ImageType.HEIC: (".heic", ".heif", ".hif", ".heics", ".heifs"),
}
"""The file name endings of each accepted media type, in lower case; the first is the usual one."""

WALKS: Final[Mapping[ImageType, Callable[[Header], Walk[bool]]]] = {
    ImageType.JPEG: jpeg.walk,
    ImageType.PNG: png.walk,
    ImageType.GIF: gif.walk,
    ImageType.WEBP: webp.walk,
    ImageType.AVIF: isobmff.walk_avif,
    ImageType.HEIC: isobmff.walk_heic,
}
"""Over the parts of a file, to where its image ends, or its pixels begin if it has an `END`."""
ENDS: Final[Mapping[ImageType, re.Pattern[bytes]]] = {
    ImageType.JPEG: jpeg.END,
    ImageType.PNG: png.END,
}
"""What an image ends with whose walk does not go so far."""


def detect(head: bytes) -> ImageType | None:
    """Return the type by the first `HEAD_BYTES` bytes of a file; None if it is not accepted.

    PNG: the 8-byte signature (PNG specification, section 5.2). JPEG: the SOI marker and the start
    of the marker that must follow it, with its code (ITU-T T.81, B.1.1.3 and B.2.1). GIF: signature
    and version (GIF89a, section 17). WebP: RIFF and its form (RFC 9649, section 2.4). AVIF and
    HEIC: the brands.
    """
    if head.startswith(_PNG_SIGNATURE):
        return ImageType.PNG
    if head.startswith(_JPEG_START) and len(head) > len(_JPEG_START):
        return ImageType.JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return ImageType.GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return ImageType.WEBP
    if head[4:8] == b"ftyp":
        return _detect_by_brands(head[:HEAD_BYTES])
    return None


def _detect_by_brands(head: bytes) -> ImageType | None:
    """Return the type by the major brand, or by the others if it may be of either type.

    A file that names neither is taken for HEIC: an AVIF file must name its brand (AVIF 1.1,
    section 6.2). Whether it is an image of the type is seen when all of it has come.
    """
    end = min(int.from_bytes(head[:4]), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
    is_generic = brands[0] in isobmff.GENERIC_BRANDS
    for brand in brands if is_generic else brands[:1]:
        if brand in isobmff.AVIF_BRANDS:
            return ImageType.AVIF
        if brand in isobmff.HEIC_BRANDS:
            return ImageType.HEIC
    return ImageType.HEIC if is_generic else None
