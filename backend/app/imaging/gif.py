"""The parts of a GIF file: a screen, then blocks, most of them of sub-blocks (GIF89a)."""

from app.imaging.header import Header
from app.imaging.walker import SubBlocks, Walk

_EXTENSION, _IMAGE, _TRAILER = b"!", b",", b";"


def walk(header: Header) -> Walk[bool]:
    """Iterate over blocks to the trailer (section 27); return False at an unknown one.

    Viewers show the screen, enlarged if the first image does not fit into it (sections 18, 20).
    """
    screen = yield 13
    yield -palette_bytes(screen[10])
    kind = yield 1
    while kind != _TRAILER:
        if kind == _EXTENSION:
            kind = yield SubBlocks(after=1)
        elif kind == _IMAGE:
            image = yield 9
            header.size = header.size or (
                max(_number(screen[6:8]), _number(image[0:2]) + _number(image[4:6])),
                max(_number(screen[8:10]), _number(image[2:4]) + _number(image[6:8])),
            )
            kind = yield SubBlocks(after=palette_bytes(image[8]) + 1)
        else:
            return False
    return True


def palette_bytes(flags: int) -> int:
    """Return the length of the colour table that these flags announce (sections 18 and 20)."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
