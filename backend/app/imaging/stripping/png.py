"""Stripping a PNG file, chunk by chunk (PNG specification, section 5)."""

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.imaging.header import UPRIGHT, minimal_exif, walk_exif
from app.imaging.stripping.base import Keep, Kept, Strip, Unstrippable

_START: Final = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
"""The signature, and the length and name of the first chunk."""
_HEADER_BYTES: Final = 13
_CHECKSUM_BYTES: Final = 4
_MAX_LENGTH: Final = 2**31 - 1
"""Of any chunk (section 5.3)."""
_KEPT: Final[Mapping[bytes, int]] = MappingProxyType(
    {
        b"PLTE": 768,
        b"IDAT": _MAX_LENGTH,
        b"IEND": 0,
        b"tRNS": 256,
        b"cHRM": 32,
        b"gAMA": 4,
        b"iCCP": _MAX_LENGTH,
        b"sBIT": 4,
        b"sRGB": 1,
        b"cICP": 4,
        b"mDCV": 24,
        b"cLLI": 8,
        b"bKGD": 6,
        b"hIST": 512,
        b"pHYs": 9,
        b"acTL": 8,
        b"fcTL": 26,
        b"fdAT": _MAX_LENGTH,
    }
)
"""Chunks that say how the image is shown, and the most bytes that each may have (section 11)."""


def strip(kept: Kept) -> Strip:
    """Pass on pixels, animation, colours and orientation; end behind IEND.

    The orientation is in the same eXIf as for `app.imaging.png.walk`.
    """
    has_pixels = False
    orientation: int | None = None
    try:
        start = yield len(_START)
        if start != _START:
            raise Unstrippable("It does not begin as a PNG file does.")
        kept.append(start)
        yield Keep(_HEADER_BYTES + _CHECKSUM_BYTES)
        kind = b""
        while kind != b"IEND":
            head = yield 8
            length, kind = int.from_bytes(head[:4]), head[4:]
            if length > _MAX_LENGTH or not kind.isalpha():
                raise Unstrippable("It has a chunk without a valid length and name.")
            has_pixels = has_pixels or kind == b"IDAT"
            if length <= _KEPT.get(kind, -1):
                kept.append(head)
                yield Keep(length + _CHECKSUM_BYTES)
            elif kind == b"eXIf" and orientation is None and not has_pixels:
                orientation = yield from walk_exif(length)
                yield -_CHECKSUM_BYTES
                if orientation != UPRIGHT:
                    kept.append(_chunk(b"eXIf", minimal_exif(orientation)))
            elif kind[:1].islower():
                yield -(length + _CHECKSUM_BYTES)
            else:  # critical (section 5.4): whoever does not know it cannot show the image
                raise Unstrippable("It has a chunk of unknown meaning.")
    except EOFError:
        pass
    if not has_pixels:
        raise Unstrippable("It ends before its pixels begin.")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return len(data).to_bytes(4) + kind + data + checksum.to_bytes(4)
