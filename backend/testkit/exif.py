"""Exif, written by hand: of a photograph, and such as no camera writes."""

import struct
from typing import Final

_HEAD: Final = b"MM\0*\0\0\0\x08"
_MAKE: Final = 0x010F
_EXIF: Final = 0x8769
_EXPOSURE_TIME: Final = 0x829A
_F_NUMBER: Final = 0x829D
_ISO: Final = 0x8827
_FOCAL_LENGTH: Final = 0x920A
_ONE: Final = struct.pack(">II", 1, 1)

Entry = tuple[int, int, int, bytes]
"""Tag, type, count, and the value or where it is."""


def _directory(*entries: Entry, following: int = 0) -> bytes:
    packed = [struct.pack(">HHI4s", *entry) for entry in entries]
    return struct.pack(">H", len(entries)) + b"".join(packed) + struct.pack(">I", following)


def _taken(*entries: Entry, values: bytes = b"") -> bytes:
    """Write a directory of how an image was taken, and the values that it points to."""
    pointer = _HEAD + _directory((_EXIF, 4, 1, struct.pack(">I", _AT)))
    return pointer + _directory(*entries) + values


_AT: Final = len(_HEAD) + 2 + 12 + 4
"""Where the second directory begins."""


def _place(entries: int) -> bytes:
    """Return where the values begin behind so many entries of the second directory."""
    return struct.pack(">I", _AT + 2 + 12 * entries + 4)


def photograph(make: str) -> bytes:
    """Write the segment of a JPEG that says who made the camera."""
    value = make.encode() + b"\0"
    entry = (_MAKE, 2, len(value), struct.pack(">I", _AT))
    return b"Exif\0\0" + _HEAD + _directory(entry) + value


_FILLED: Final = [(tag, 3, 2, bytes(4)) for tag in range(1, 65_536)]

HOSTILE: Final[dict[str, bytes]] = {
    "nothing": b"",
    "no head": b"nonsense",
    "a head alone": _HEAD,
    "a directory beyond the end": b"MM\0*\xff\xff\xff\xff",
    "a directory that is the next one": _HEAD + _directory(following=8),
    "a directory within itself": _HEAD + _directory((_EXIF, 4, 1, struct.pack(">I", 8))),
    "a directory that begins before the file": _HEAD + _directory((_EXIF, 9, 1, b"\xff" * 4)),
    "a text for a directory": _HEAD + _directory((_EXIF, 2, 4, b"abc\0")),
    "65,535 entries and none": _HEAD + b"\xff\xff",
    "5,000 entries": _taken(*_FILLED[:5000]),
    "65,535 entries": _taken(*_FILLED),
    "4,294,967,295 fractions": _taken((_EXPOSURE_TIME, 5, 2**32 - 1, _place(1)), values=_ONE),
    "8,000 fractions": _taken((_EXPOSURE_TIME, 5, 8000, _place(1)), values=bytes(8 * 8000)),
    "a fraction beyond the end": _taken((_EXPOSURE_TIME, 5, 1, b"\xff" * 4)),
    "divisions by zero": _taken(
        (_EXPOSURE_TIME, 5, 1, _place(3)),
        (_F_NUMBER, 5, 1, _place(3)),
        (_FOCAL_LENGTH, 10, 1, _place(3)),
        values=bytes(8),
    ),
    "no numbers": _taken(
        (_EXPOSURE_TIME, 12, 1, _place(3)),
        (_F_NUMBER, 11, 1, b"\x7f\x80\0\0"),
        (_ISO, 11, 1, b"\x7f\xc0\0\0"),
        values=struct.pack(">d", float("nan")),
    ),
    "negative numbers": _taken(
        (_EXPOSURE_TIME, 10, 1, _place(2)),
        (_ISO, 9, 1, b"\xff" * 4),
        values=struct.pack(">ii", -1, 100),
    ),
    "texts for numbers": _taken((_ISO, 2, 4, b"400\0"), (_F_NUMBER, 7, 4, b"2.8\0")),
    "types that there are not": _taken((_ISO, 0, 1, bytes(4)), (_F_NUMBER, 200, 1, bytes(4))),
    "entries that all have the same megabyte": _taken(
        *((tag, 7, 1 << 20, _place(60_000)) for tag in range(1, 60_001)), values=bytes(1 << 20)
    ),
}
"""By what is wrong; none says anything that is true."""
