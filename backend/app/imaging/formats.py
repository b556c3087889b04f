"""The accepted image types: what a new one needs is named here, and is in a module of its own."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from app.imaging import gif, isobmff, jpeg, png, webp

HEAD_BYTES: Final = 32
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

WALKS: Final = {
    ImageType.JPEG: jpeg.walk,
    ImageType.PNG: png.walk,
    ImageType.GIF: gif.walk,
    ImageType.WEBP: webp.walk,
    ImageType.AVIF: isobmff.walk,
    ImageType.HEIC: isobmff.walk,
}
"""Over the parts of a file, to where its pixels begin."""
ENDS: Final = {
    ImageType.JPEG: jpeg.END,
    ImageType.PNG: png.END,
    ImageType.GIF: gif.END,
    ImageType.WEBP: webp.END,
    ImageType.AVIF: isobmff.END,
    ImageType.HEIC: isobmff.END,
}
"""What an image ends with."""


def detect(head: bytes) -> ImageType | None:
    """Return the type by the first `HEAD_BYTES` bytes of a file; None if it is not accepted.

    PNG: the 8-byte signature (PNG specification, section 5.2). JPEG: the SOI marker and the start
    of the marker that must follow it, with its code (ITU-T T.81, B.1.1.3 and B.2.1).
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
        return {
            b"avif": ImageType.AVIF,
            b"avis": ImageType.AVIF,
            b"heic": ImageType.HEIC,
            b"heix": ImageType.HEIC,
            b"mif1": ImageType.HEIC,
        }.get(head[8:12])
    return None
