"""What is kept of an image's header, and the orientation in Exif, read and written (ADR 0023)."""

import struct
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

UPRIGHT: Final = 1
"""The orientation of an image that is shown as it is stored."""

_BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_ORIENTATIONS: Final = range(1, 9)
_TURNED: Final = (5, 6, 7, 8)
"""Values of the orientation with which viewers exchange width and height."""
MAX_ENTRIES: Final = _ORIENTATION + 1
"""Of Exif's directory, which is sorted by tag, each at most once: the orientation is among them."""


@dataclass(slots=True)
class Header:
    """Filled in by a walk, as far as the file has come."""

    frame: bytes = b""
    """A file without pixels, from which Pillow reads the size; empty until the size has come."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, before the image is turned, where the file has mere numbers."""
    orientation: int | None = None
    """How viewers turn the image, as Exif numbers it (1 = not at all); None until that has come."""
    is_image: bool = True
    """False until an image has come, where a file may begin like one and be none."""

    @property
    def is_turned(self) -> bool:
        """Whether viewers show the image on its side."""
        return self.orientation in _TURNED


def walk_exif(length: int) -> Generator[int, bytes, int]:
    """Skip Exif of `length` bytes; return the orientation that it has, 1 to 8.

    Its orientation is in the first directory (TIFF 6.0, section 2), which may lie anywhere behind
    the head. Like browsers, take only a single SHORT for it, and ignore what is damaged.
    """
    head = yield min(length, 8)
    rest = length - len(head)
    order = _BYTE_ORDERS.get(head[:4], "")
    place = int.from_bytes(head[4:], "little" if order == "<" else "big") - len(head)
    if not order or not 0 <= place <= rest - 2:
        yield -rest
        return UPRIGHT
    yield -place
    (count,) = struct.unpack(f"{order}H", (yield 2))
    rest -= place + 2
    table = yield 12 * min(count, MAX_ENTRIES, rest // 12)
    yield len(table) - rest
    for tag, kind, values, value in struct.iter_unpack(f"{order}HHIH2x", table):
        if tag == _ORIENTATION:
            is_valid = kind == _SHORT and values == 1 and value in _ORIENTATIONS
            return value if is_valid else UPRIGHT
    return UPRIGHT


def minimal_exif(orientation: int) -> bytes:
    """Return Exif that holds an orientation and nothing else (TIFF 6.0, section 2)."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
