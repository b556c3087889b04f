"""Stripping a JPEG file, segment by segment (ITU-T T.81, annex B)."""

import re
from collections.abc import Generator
from typing import Final

from app.imaging.header import UPRIGHT, walk_exif
from app.imaging.stripping.base import Keep, Kept, Strip, Unstrippable, Until
from app.imaging.stripping.orientation import minimal_exif

_SOI, _EOI, _SOS = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_APP0, _APP1, _APP2, _APP14 = b"\xff\xe0", b"\xff\xe1", b"\xff\xe2", b"\xff\xee"
_TABLES: Final = {b"\xff\xc4", b"\xff\xcc", b"\xff\xdb", b"\xff\xdc", b"\xff\xdd"}
"""DHT, DAC, DQT, DNL, DRI (table B.1)."""
_FRAMES: Final = {bytes((0xFF, code)) for code in range(0xC0, 0xD0)} - _TABLES - {b"\xff\xc8"}
"""SOF0 to SOF15."""
_DECODED: Final = _FRAMES | _TABLES | {_SOS}
_LENGTHS: Final = {b"\xff\xdc": 2, b"\xff\xdd": 2}
"""Of DNL and DRI (B.2.5, B.2.4.4); decoders skip a DNL, whatever is in it."""
_UNUSED: Final = {bytes((0xFF, code)) for code in range(0xE0, 0xF0)} | {b"\xff\xfe"}
"""APP0 to APP15, COM."""
_NAMED: Final = {
    _APP0: (b"JFIF\0", 14),
    _APP2: (b"ICC_PROFILE\0", 14),
    _APP14: (b"Adobe", 12),
}
"""Application segments that say what the colours mean: their names, and the bytes that each has at
least (ITU-T T.871, 10.1; ICC.1, B.4; ITU-T T.872, 6.5.3)."""
_EXIF: Final = b"Exif\0"

_NEXT_SEGMENT: Final = re.compile(rb"\xff[^\0\x01\xd0-\xd7\xff]")
"""A marker that a length follows. What is before it belongs to no segment, and viewers skip it."""
_SCAN_END: Final = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
"""What entropy-coded data do not contain: in them, a zero or a restart marker's code follows each
0xFF (B.1.1.5)."""


def strip(kept: Kept) -> Strip:
    """Pass on what a decoder needs, colour profile and orientation, as far as the image's end."""
    try:
        yield from _strip_to_first_scan(kept)
    except EOFError:
        raise Unstrippable("It ends before its pixels begin.") from None
    marker = yield Until(_SCAN_END, keeps=True)
    while marker != _EOI:
        yield from _strip_segment(kept, marker, (yield from _read_length()))
        is_scan = marker == _SOS
        marker = yield Until(_SCAN_END if is_scan else _NEXT_SEGMENT, keeps=is_scan)
    kept.append(_EOI)


def _strip_to_first_scan(kept: Kept) -> Strip:
    """Strip the segments that `app.imaging.jpeg.walk` reads, with the same orientation."""
    if (yield 2) != _SOI:
        raise Unstrippable("It does not begin as a JPEG file does.")
    kept.append(_SOI)
    has_frame = False
    orientation: int | None = None
    while (marker := (yield Until(_NEXT_SEGMENT, keeps=False))) != _SOS:
        if marker == _EOI:
            raise EOFError
        length = yield from _read_length()
        if marker == _APP1 and orientation is None:
            orientation = yield from _strip_exif(kept, length)
        else:
            yield from _strip_segment(kept, marker, length)
        has_frame = has_frame or marker in _FRAMES
    if not has_frame:
        raise Unstrippable("Its pixels begin before their size.")
    yield from _strip_segment(kept, _SOS, (yield from _read_length()))


def _read_length() -> Generator[int, bytes, int]:
    """Return how many bytes of a segment follow its length."""
    field = yield 2
    length = int.from_bytes(field) - len(field)
    if length < 0:
        raise Unstrippable("It has a segment of an impossible length.")
    return length


def _strip_exif(kept: Kept, length: int) -> Generator[int, bytes, int | None]:
    """Replace Exif, and return its orientation; None if the segment has none or it is empty."""
    name = yield min(length, len(_EXIF) + 1)
    length -= len(name)
    if not (length and name.startswith(_EXIF)):
        yield -length
        return None
    orientation = yield from walk_exif(length)
    if orientation != UPRIGHT:
        exif = _EXIF + b"\0" + minimal_exif(orientation)
        kept.append(_head(_APP1, len(exif)) + exif)
    return orientation


def _strip_segment(kept: Kept, marker: bytes, length: int) -> Strip:
    if marker in _DECODED:
        if length != _LENGTHS.get(marker, length):
            raise Unstrippable("It has a segment of an impossible length.")
        kept.append(_head(marker, length))
        yield Keep(length)
    elif marker in _NAMED:
        yield from _strip_named(kept, marker, length)
    elif marker in _UNUSED:
        yield -length
    else:
        raise Unstrippable(f"It has a part of unknown meaning ({marker.hex()}).")


def _strip_named(kept: Kept, marker: bytes, length: int) -> Strip:
    """Pass on an application segment if it is the one that is known by its name."""
    name, needed = _NAMED[marker]
    start = yield min(length, needed)
    rest = length - len(start)
    if len(start) < needed or not start.startswith(name):
        yield -rest
    elif marker == _APP2:
        kept.append(_head(marker, length) + start)
        yield Keep(rest)
    else:
        if marker == _APP0:
            start = start[:-2] + bytes(2)  # the sides of a thumbnail, which follows
        kept.append(_head(marker, needed) + start)
        yield -rest


def _head(marker: bytes, length: int) -> bytes:
    return marker + (length + 2).to_bytes(2)
