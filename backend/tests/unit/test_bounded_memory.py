"""Whatever a file is made of, walks and strips hold little of it."""

import struct
import tracemalloc
from typing import Final

import pytest

from app.imaging.formats import ImageType
from app.imaging.inspection import Inspection
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from testkit.forms import split
from testkit.fuzz.parts import PARTS

FILE_BYTES: Final = 3 * 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
MAX_HELD: Final = 2 * 1024 * 1024
"""Bytes, with the piece that is looked at."""
ENDLESS: Final = {
    ImageType.JPEG: (
        b"\xff\xe1\xff\xffExif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"\xff\xe2\xff\xffICC_PROFILE\0\1\1",
        b"\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0",
    ),
    ImageType.PNG: (
        b"\x7f\xff\xff\xffeXIfMM\0*\0\0\0\x08\xff\xff",
        b"\x7f\xff\xff\xffeXIfMM\0*\x7f\0\0\0",
        b"\x7f\xff\xff\xffiCCP",
        b"\x7f\xff\xff\xffIDAT",
    ),
    ImageType.GIF: (b"!\xfe", b",\0\0\0\0\x08\0\x08\0\0\2", b"!\xff\x0bXMP DataXMP"),
    ImageType.WEBP: (
        b"VP8L\2\0\0\0\x2f\0EXIF\0\0\x04\0MM\0*\0\0\0\x08\xff\xff",
        b"VP8L\2\0\0\0\x2f\0EXIF\xff\xff\xff\x7fMM\0*\x7f\0\0\0",
        b"VP8L\xff\xff\xff\x7f\x2f",
        b"ANMF\xff\xff\xff\x7f",
    ),
    ImageType.AVIF: (
        b"\x7f\xff\xff\xffmeta\0\0\0\0\x7f\xff\xff\xffiloc\0\0\0\0\x44\0\xff\xff",
        b"\x7f\xff\xff\xffmeta\0\0\0\0\x7f\xff\xff\xffiinf\0\0\0\0\xff\xff",
        b"\x7f\xff\xff\xffmeta\0\0\0\0\x7f\xff\xff\xffiprp\x7f\xff\xff\xffipco",
    ),
}
"""Beginnings of parts that claim to be as long as they can be, or have no length."""
STARTS: Final = {
    ImageType.PNG: b"\0\0\0\x0dIHDR" + struct.pack(">IIBBBBBI", 8, 8, 8, 2, 0, 0, 0, 0),
    ImageType.WEBP: b"VP8X\x0a\0\0\0\x3e\0\0\0\7\0\0\7\0\0",
}
SHORT_PARTS: Final = 3
"""How many of the shortest parts of a type a file is made of."""


@pytest.mark.parametrize("kind", PARTS)
def test_a_file_of_countless_parts_is_never_held(kind: ImageType) -> None:
    start = start_of(kind)
    for part in sorted(PARTS[kind].parts, key=len)[:SHORT_PARTS]:
        require_little_memory(kind, start + part * ((FILE_BYTES - len(start)) // len(part)))


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_part_that_never_ends_is_never_held(kind: ImageType) -> None:
    for part in ENDLESS[kind]:
        for filling in (b"\0", b"a"):
            content = start_of(kind) + part
            require_little_memory(kind, content.ljust(FILE_BYTES, filling))


def start_of(kind: ImageType) -> bytes:
    """Return the beginning of a file, of a WebP that is as long as it can be."""
    start = PARTS[kind].start + STARTS.get(kind, b"")
    return b"RIFF\xff\xff\xff\x7f" + start[8:] if kind is ImageType.WEBP else start


def require_little_memory(kind: ImageType, content: bytes) -> None:
    pieces = split(content, PIECE_BYTES)
    tracemalloc.start()
    try:
        inspection = Inspection(kind)
        for piece in pieces:
            inspection.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < MAX_HELD, content[:100]
        tracemalloc.reset_peak()
        if kind in STRIPPERS:
            strip(kind, pieces)
        assert tracemalloc.get_traced_memory()[1] < MAX_HELD, content[:100]
    finally:
        tracemalloc.stop()


def strip(kind: ImageType, pieces: list[bytes]) -> None:
    stripper = STRIPPERS[kind]()
    try:
        for piece in pieces:
            stripper.feed(piece)
        stripper.finish()
    except Unstrippable:
        pass
