"""The parts of a WebP file: chunks in a RIFF container, whose length is at its start (RFC 9649)."""

from collections.abc import Mapping
from typing import Final

from app.imaging.header import Header, walk_exif
from app.imaging.walker import Walk

_HEAD_BYTES: Final = 8
"""Of a chunk: its kind, and the length of what follows."""
_FRAME_BYTES: Final[Mapping[bytes, int]] = {b"VP8 ": 10, b"VP8L": 5, b"VP8X": 10}
"""How much of the first chunk has the size (sections 2.5 to 2.7)."""
_HAS_EXIF: Final = 0x08
_START_CODE: Final = b"\x9d\x01\x2a"
_SIGNATURE: Final = 0x2F


def walk(header: Header) -> Walk[bool]:
    """Iterate over chunks to the end of the container; return False if the first one is unknown.

    Exif follows the pixels, where the first chunk says that there is any.
    """
    riff = yield 12
    rest = int.from_bytes(riff[4:8], "little") - 4
    kind, length = _read_head((yield _HEAD_BYTES))
    wanted = _FRAME_BYTES.get(kind, 0)
    padded = length + length % 2
    rest -= _HEAD_BYTES + padded
    if not 0 < wanted <= length or rest < 0:
        return False
    frame = yield wanted
    header.size = _size(kind, frame)
    yield wanted - padded
    if kind == b"VP8X" and frame[0] & _HAS_EXIF:
        while rest >= _HEAD_BYTES and header.orientation is None:
            kind, length = _read_head((yield _HEAD_BYTES))
            rest -= _HEAD_BYTES
            padded = min(length + length % 2, rest)
            rest -= padded
            if kind == b"EXIF":
                length = min(length, padded)
                header.orientation = yield from walk_exif(length)
                yield length - padded
            else:
                yield -padded
    yield -rest
    return True


def _read_head(head: bytes) -> tuple[bytes, int]:
    return head[:4], int.from_bytes(head[4:], "little")


def _size(kind: bytes, frame: bytes) -> tuple[int, int] | None:
    """Return width and height of the canvas, or of the only image."""
    if kind == b"VP8X":
        return _number(frame[4:7]) + 1, _number(frame[7:10]) + 1
    if kind == b"VP8L":
        if frame[0] != _SIGNATURE:
            return None
        sides = _number(frame[1:])
        return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    if frame[3:6] != _START_CODE:
        return None
    return _number(frame[6:8]) & 0x3FFF, _number(frame[8:10]) & 0x3FFF


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
