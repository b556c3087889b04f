"""The parts of a PNG file: a signature and chunks (PNG specification, section 5)."""

import re
from typing import Final

from app.imaging.header import Header, walk_exif
from app.imaging.walker import Walk

END: Final = re.compile(rb"\0\0\0\0IEND.{4}", re.DOTALL)
"""IEND with its checksum (section 11.2.5)."""

_CHECKSUM_BYTES: Final = 4


def walk_header(header: Header) -> Walk[None]:
    """Iterate over chunks until the pixels begin."""
    frame = yield 8
    head = yield 8
    if head != b"\0\0\0\x0dIHDR":
        return
    frame += head
    frame += yield 13 + _CHECKSUM_BYTES
    while True:
        head = yield 8
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"IDAT":
            header.frame = frame + bytes(4) + kind
            return
        if kind == b"IEND" or not kind.isalpha():
            return
        if kind == b"eXIf" and header.is_turned is None:
            header.is_turned = yield from walk_exif(length)
            length = 0
        yield -(length + _CHECKSUM_BYTES)


def walk_to_pixels() -> Walk[bool]:
    """Iterate over chunks to the first one of pixels; return False if there is none."""
    yield 8
    while True:
        head = yield 8
        kind = head[4:]
        if kind in {b"IDAT", b"IEND"} or not kind.isalpha():
            return kind == b"IDAT"
        yield -(int.from_bytes(head[:4]) + _CHECKSUM_BYTES)
