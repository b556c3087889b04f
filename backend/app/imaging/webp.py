"""The parts of a WebP file: chunks in a RIFF container, whose length is at its start (RFC 9649)."""

from collections.abc import Mapping
from typing import Final

from app.imaging.header import Header
from app.imaging.walker import Walk

_RIFF_BYTES: Final = 12
_FRAMES: Final[Mapping[bytes, int]] = {b"VP8 ": 10, b"VP8L": 5, b"VP8X": 10}
"""The kinds of a first chunk, and how many of its bytes are needed for the size."""
_START_CODE: Final = b"\x9d\x01\x2a"
_SIGNATURE: Final = 0x2F
_SIDE: Final = 0x3FFF
"""The 14 bits of a width or height; those above it scale."""


def walk(header: Header) -> Walk[bool]:
    """Read the first chunk, and skip the others; return False if it is not known.

    Exif, which is among the others, turns no WebP: Chromium ignores its orientation.
    """
    head = yield _RIFF_BYTES + 8
    length = 8 + _number(head[4:8])
    kind = head[12:16]
    frame = yield _FRAMES.get(kind, 0)
    rest = length - len(head) - len(frame)
    header.size = _size(kind, frame)
    if not header.size or rest < 0:
        return False
    yield -rest
    return True


def _size(kind: bytes, frame: bytes) -> tuple[int, int] | None:
    """Return width and height of the canvas, or of the only image (sections 2.5 to 2.7)."""
    if kind == b"VP8X":
        return _number(frame[4:7]) + 1, _number(frame[7:]) + 1
    if kind == b"VP8L" and frame[0] == _SIGNATURE:
        sides = _number(frame[1:])
        return (sides & _SIDE) + 1, (sides >> 14 & _SIDE) + 1
    if kind == b"VP8 " and frame[3:6] == _START_CODE:
        return _number(frame[6:8]) & _SIDE, _number(frame[8:]) & _SIDE
    return None


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
