"""The parts of a PNG file: a signature and chunks (PNG specification, section 5)."""

import re
from typing import Final

from app.imaging.header import Header, walk_exif
from app.imaging.walker import Walk

END: Final = re.compile(rb"\0\0\0\0IEND.{4}", re.DOTALL)
"""IEND with its checksum (section 11.2.5)."""

_IHDR: Final = b"\0\0\0\x0dIHDR"
_CHECKSUM_BYTES: Final = 4


def walk(header: Header) -> Walk[bool]:
    """Iterate over chunks to the first one of pixels; return False if there is none."""
    signature = yield 8
    frame = b""
    head = yield 8
    if head == _IHDR:
        frame = signature + head + (yield 13 + _CHECKSUM_BYTES)
        head = yield 8
    while (kind := head[4:]) not in {b"IDAT", b"IEND"} and kind.isalpha():
        length = int.from_bytes(head[:4])
        if kind == b"eXIf" and header.orientation is None:
            header.orientation = yield from walk_exif(length)
            length = 0
        yield -(length + _CHECKSUM_BYTES)
        head = yield 8
    if kind == b"IDAT" and frame:
        header.frame = frame + bytes(4) + kind
    return kind == b"IDAT"
