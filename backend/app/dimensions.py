"""Width and height of a picture, from its header, without decoding anything (ADR 0017).

Two steps, each where it can be bounded. A walk over the file's parts, as its bytes pass by, knows
how long each part is, keeps the frame header and reads the orientation (ADR 0023). Pillow, which
knows what a frame header means, is given that alone: a KiB, whatever a client sends, so that
neither its time nor its memory has to be limited in some other way.
"""

import asyncio
import struct
import warnings
from collections.abc import Generator
from io import BytesIO
from typing import Final, NamedTuple

from PIL import Image, ImageFile, PngImagePlugin

from app.image_types import ImageType

MAX_HEADER_BYTES: Final = 4 * 1024 * 1024
"""How far to look. Colour profiles for print, and depth maps, lie before the size of a JPEG."""
MAX_STEPS: Final = 4096
"""Of the walk; a part of the file takes up to five, Exif nine, a byte between the parts one."""
FRAME_BYTES: Final = 1024
"""Most of a JPEG's frame header, which needs 8 bytes and 3 for each of up to 255 components."""
TEXT_BYTES: Final = 8 * 1024
"""Most that Pillow may inflate of a PNG's texts; it is given none."""
MAX_SIDE: Final = 2**31 - 1
"""Pixels of a PNG's side (PNG specification, section 11.2.2); the columns hold as much."""
MAX_PIXELS: Final = 2**32
"""More than any JPEG has. A header with more is a claim, not a picture; it tells nothing."""
SECONDS: Final = 1.0
"""How long to wait for a thread, where all are held up by a slow disk."""

_BYTE_ORDERS: Final = {b"II*\0": "<", b"MM\0*": ">"}
_ORIENTATION: Final = 0x0112
_SHORT: Final = 3
_TURNED: Final = (5, 6, 7, 8)
"""Values of the orientation with which viewers exchange width and height."""
MAX_ENTRIES: Final = _ORIENTATION + 1
"""Of Exif's directory, which is sorted by tag, each at most once: the orientation is among them."""

_SOI: Final = 0xD8
_APP1: Final = 0xE1
_EXIF: Final = b"Exif\0"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, SOF0 to SOF15 (ITU-T T.81, table B.1)."""
_ALONE: Final = frozenset({0x00, 0x01, *range(0xD0, 0xD8)})
"""Markers without a length, and the zero that follows an 0xFF which is none."""
_ENDS: Final = frozenset({_SOI, 0xD9, 0xDA})
"""Markers that do not come before a frame header: start and end of an image, start of a scan."""


class Dimensions(NamedTuple):
    """Pixels, as a viewer shows the picture."""

    width: int
    height: int


class _Header(NamedTuple):
    """What is kept of a file."""

    frame: bytes
    """A file without pixels."""
    is_turned: bool
    """Whether viewers show the picture on its side."""


_Walk = Generator[int, bytes, _Header | None]
"""Asks for so many bytes, or to pass over so many (a negative number); ends with what it kept."""


class HeaderReader:
    """Looks for the header in a file's bytes, as they come by in any pieces.

    Args:
        image_type: What the file is, by its first bytes.
    """

    def __init__(self, image_type: ImageType) -> None:
        self._walk: _Walk = _walk_jpeg() if image_type is ImageType.JPEG else _walk_png()
        self._wanted = next(self._walk)
        self._held = bytearray()
        self._bytes_left = MAX_HEADER_BYTES
        self._steps_left = MAX_STEPS
        self._header: _Header | None = None
        self.complete = False
        """Whether more bytes would change nothing."""

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        if self.complete:
            return
        rest = memoryview(data)[: self._bytes_left]
        self._bytes_left -= len(rest)
        while not self.complete:
            if self._wanted < 0:
                taken = min(-self._wanted, len(rest))
                self._wanted += taken
            else:
                taken = min(self._wanted - len(self._held), len(rest))
                self._held += rest[:taken]
            rest = rest[taken:]
            if self._wanted != len(self._held):
                break
            self._step()
        if not self._bytes_left:
            self.complete = True

    async def measure(self) -> Dimensions | None:
        """Tell width and height; None if the header does not, or has not been found. Never raises.

        Pillow works in a thread. One that does not come in time is not waited for, and where the
        system allows no more threads there is none.
        """
        if self._header is None:
            return None
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(_measure, self._header)
        except (TimeoutError, RuntimeError):
            return None

    def _step(self) -> None:
        """Give the walk what it asked for."""
        self._steps_left -= 1
        try:
            self._wanted = self._walk.send(bytes(self._held))
        except StopIteration as end:
            self._header = end.value
            self.complete = True
        self._held.clear()
        if not self._steps_left:
            self.complete = True


def configure_pillow() -> None:
    """Set what Pillow keeps for the whole process: once, where a process begins.

    Nothing here decodes, so no bomb goes off; these are for what Pillow would do beyond reading
    the few KiB that it is given.
    """
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses more than twice as many
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    PngImagePlugin.MAX_TEXT_CHUNK = TEXT_BYTES
    PngImagePlugin.MAX_TEXT_MEMORY = TEXT_BYTES
    # Of damage Pillow warns in words that a client chooses; Python would remember each.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _walk_jpeg() -> _Walk:
    """Go from segment to segment (ITU-T T.81, B.1.1) until a frame header.

    Exif stands in the first APP1 segment that begins with its name and a padding byte (CIPA
    DC-008, 4.7.2).
    """
    yield 2
    is_turned: bool | None = None
    while True:
        marker = yield from _next_marker()
        if marker in _ENDS:
            return None
        length_field = yield 2
        length = int.from_bytes(length_field) - len(length_field)
        if length < 0:
            return None
        if marker in _FRAMES:
            if length > FRAME_BYTES:
                return None
            frame = yield length
            start = bytes((0xFF, _SOI, 0xFF, marker)) + length_field
            return _Header(start + frame, is_turned or False)
        if marker == _APP1 and is_turned is None:
            name = yield min(length, len(_EXIF) + 1)
            length -= len(name)
            if name.startswith(_EXIF):
                is_turned = yield from _walk_exif(length)
                continue
        yield -length


def _next_marker() -> Generator[int, bytes, int]:
    """Find the next marker with a length, over bytes that belong to none, as viewers do."""
    while True:
        byte = yield 1
        while byte != b"\xff":
            byte = yield 1
        while byte == b"\xff":
            byte = yield 1
        if byte[0] not in _ALONE:
            return byte[0]


def _walk_png() -> _Walk:
    """Go from chunk to chunk (PNG specification, section 5.3) until the pixels begin."""
    frame = yield 8
    head = yield 8
    if head != b"\0\0\0\x0dIHDR":
        return None
    frame += head
    frame += yield 13 + 4  # and its checksum
    is_turned: bool | None = None
    while True:
        head = yield 8
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"IDAT":
            return _Header(frame + bytes(4) + kind, is_turned or False)
        if kind == b"IEND" or not kind.isalpha():
            return None
        if kind == b"eXIf" and is_turned is None:
            is_turned = yield from _walk_exif(length)
            length = 0
        yield -(length + 4)


def _walk_exif(length: int) -> Generator[int, bytes, bool]:
    """Pass over Exif of `length` bytes; return whether viewers show the picture on its side.

    Its orientation stands in the first directory (TIFF 6.0, section 2), which may lie anywhere
    behind the head. Like browsers, take only a single SHORT for it, and damage for none.
    """
    head = yield min(length, 8)
    rest = length - len(head)
    order = _BYTE_ORDERS.get(head[:4], "")
    place = int.from_bytes(head[4:], "little" if order == "<" else "big") - len(head)
    if not order or not 0 <= place <= rest - 2:
        yield -rest
        return False
    yield -place
    (count,) = struct.unpack(f"{order}H", (yield 2))
    rest -= place + 2
    table = yield 12 * min(count, MAX_ENTRIES, rest // 12)
    yield len(table) - rest
    for tag, kind, values, value in struct.iter_unpack(f"{order}HHIH2x", table):
        if tag == _ORIENTATION:
            return kind == _SHORT and values == 1 and value in _TURNED
    return False


def _measure(header: _Header) -> Dimensions | None:
    try:
        with Image.open(BytesIO(header.frame), formats=("JPEG", "PNG")) as image:
            width, height = image.size
    except Exception:  # noqa: BLE001 - whatever Pillow's parsers meet, they raise what they like
        return None
    if max(width, height) > MAX_SIDE:
        return None
    return Dimensions(height, width) if header.is_turned else Dimensions(width, height)
