"""Going from part to part of an image's file as its bytes come by, in any pieces.

A walk knows only how long each part is and keeps what tells something, so that its memory and its
time are bounded whatever a client sends.
"""

from collections.abc import Generator
from typing import Final, Generic, TypeVar

from app.imaging.formats import ImageType

MAX_STEPS: Final = 4096
"""Of a walk; a part of the file takes up to five, Exif nine, a byte between the parts one."""

SOI: Final = 0xD8
EOI: Final = 0xD9
SOS: Final = 0xDA
"""Markers: start and end of an image, start of a scan (ITU-T T.81, table B.1)."""
_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
"""Markers without a length, and the zero that follows an 0xFF which is none."""

_Kept = TypeVar("_Kept")

Walk = Generator[int, bytes, _Kept]
"""Asks for so many bytes, or to pass over so many (a negative number); ends with what it kept."""


class Walker(Generic[_Kept]):
    """Gives a walk the bytes that it asks for."""

    def __init__(self, walk: Walk[_Kept]) -> None:
        self._walk = walk
        self._wanted = next(walk)
        self._held = bytearray()
        self._steps_left = MAX_STEPS
        self.kept: _Kept | None = None
        """What the walk ended with; None if it has not ended."""
        self.complete = False
        """Whether the walk has ended, or was ended for its many steps."""

    def feed(self, data: memoryview) -> memoryview:
        """Take the next bytes; return those that follow the end of the walk."""
        while not self.complete:
            if self._wanted < 0:
                taken = min(-self._wanted, len(data))
                self._wanted += taken
            else:
                taken = min(self._wanted - len(self._held), len(data))
                self._held += data[:taken]
            data = data[taken:]
            if self._wanted != len(self._held):
                break
            self._step()
        return data

    def _step(self) -> None:
        self._steps_left -= 1
        try:
            self._wanted = self._walk.send(bytes(self._held))
        except StopIteration as end:
            self.kept = end.value
            self.complete = True
        self._held.clear()
        if not self._steps_left:
            self.complete = True


def next_marker() -> Generator[int, bytes, int]:
    """Find a JPEG's next marker with a length, over bytes that belong to none, as viewers do."""
    while True:
        byte = yield 1
        if byte != b"\xff":
            continue
        while byte == b"\xff":
            byte = yield 1
        if byte[0] not in _ALONE:
            return byte[0]


def walk_to_pixels(image_type: ImageType) -> Walk[bool]:
    """Go to where the pixels begin; end with False in a file that has none."""
    return _walk_to_scan() if image_type is ImageType.JPEG else _walk_to_data()


def _walk_to_scan() -> Walk[bool]:
    yield 2
    while True:
        marker = yield from next_marker()
        if marker in {SOI, EOI, SOS}:
            return marker == SOS
        length = int.from_bytes((yield 2)) - 2
        if length < 0:
            return False
        yield -length


def _walk_to_data() -> Walk[bool]:
    yield 8
    while True:
        head = yield 8
        kind = head[4:]
        if kind in {b"IDAT", b"IEND"} or not kind.isalpha():
            return kind == b"IDAT"
        yield -(int.from_bytes(head[:4]) + 4)
