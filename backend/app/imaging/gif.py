"""The parts of a GIF file: a screen, then blocks, most of them of sub-blocks (GIF89a)."""

from app.imaging.header import Header
from app.imaging.walker import SubBlocks, Walk

_EXTENSION, _IMAGE, _TRAILER = b"!", b",", b";"


def walk(header: Header) -> Walk[bool]:
    """Iterate over blocks to the trailer (section 27); return False at an unknown one."""
    screen = yield 13
    header.size = _size(screen[6:10])
    yield -_palette_bytes(screen[10])
    kind = yield 1
    while kind != _TRAILER:
        if kind == _EXTENSION:
            kind = yield SubBlocks(after=1)
        elif kind == _IMAGE:
            descriptor = yield 9
            kind = yield SubBlocks(after=_palette_bytes(descriptor[8]) + 1)
        else:
            return False
    return True


def _size(field: bytes) -> tuple[int, int]:
    return int.from_bytes(field[:2], "little"), int.from_bytes(field[2:4], "little")


def _palette_bytes(flags: int) -> int:
    """Return the length of a colour table (sections 19 and 21)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
