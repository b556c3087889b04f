"""Width and height of a picture, from its header, without decoding anything (ADR 0017).

Two steps, each where it can be bounded. A walk over the file's parts, as its bytes pass by, knows
how long each part is, keeps the frame header and reads the orientation (ADR 0023). Pillow, which
knows what a frame header means, is given that alone: a KiB, whatever a client sends, so that
neither its time nor its memory has to be limited in some other way.
"""

import asyncio
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NamedTuple

from PIL import Image, ImageFile, PngImagePlugin

from app.imaging.formats import ImageType
from app.imaging.walks import EOI, SOI, SOS, Walk, Walker, next_marker

MAX_HEADER_BYTES: Final = 4 * 1024 * 1024
"""How far to look. Colour profiles for print, and depth maps, lie before the size of a JPEG."""
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

_APP1: Final = 0xE1
_EXIF: Final = b"Exif\0"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame header, SOF0 to SOF15 (ITU-T T.81, table B.1)."""
_ENDS: Final = frozenset({SOI, EOI, SOS})
"""Markers that end the header of an image."""


class Dimensions(NamedTuple):
    """Pixels, as a viewer shows the picture."""

    width: int
    height: int


@dataclass(slots=True)
class _Header:
    """What is kept of a file, as it is found."""

    frame: bytes = b""
    """A file without pixels; empty until the frame header has come."""
    is_turned: bool | None = None
    """Whether viewers show the picture on its side; None until Exif has come."""


class HeaderReader:
    """Looks for the header in a file's bytes, as they come by in any pieces.

    Args:
        image_type: What the file is, by its first bytes.
    """

    def __init__(self, image_type: ImageType) -> None:
        jpeg = image_type is ImageType.JPEG
        self._header = _Header()
        self._walker = Walker(_walk_jpeg(self._header) if jpeg else _walk_png(self._header))
        self._bytes_left = MAX_HEADER_BYTES

    @property
    def complete(self) -> bool:
        """Whether more bytes would change nothing."""
        return self._walker.complete or not self._bytes_left

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        if not self.complete:
            part = memoryview(data)[: self._bytes_left]
            self._bytes_left -= len(part)
            self._walker.feed(part)

    async def measure(self) -> Dimensions | None:
        """Tell width and height; None if the header does not, or has not been found. Never raises.

        Pillow works in a thread. One that does not come in time is not waited for, and where the
        system allows no more threads there is none.
        """
        if not self._header.frame:
            return None
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(_measure, self._header)
        except (TimeoutError, RuntimeError):
            return None


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


def _walk_jpeg(header: _Header) -> Walk[None]:
    """Go from segment to segment (ITU-T T.81, B.1.1) until the pixels begin.

    Exif stands in the first APP1 segment that begins with its name and a padding byte (CIPA
    DC-008, 4.7.2) and holds something; like other segments it may follow the frame header.
    """
    yield 2
    while (marker := (yield from next_marker())) not in _ENDS:
        length_field = yield 2
        length = int.from_bytes(length_field) - len(length_field)
        if length < 0:
            return
        if marker in _FRAMES and not header.frame:
            if length > FRAME_BYTES:
                return
            frame = yield length
            header.frame = bytes((0xFF, SOI, 0xFF, marker)) + length_field + frame
            continue
        if marker == _APP1 and header.is_turned is None:
            name = yield min(length, len(_EXIF) + 1)
            length -= len(name)
            if length and name.startswith(_EXIF):
                header.is_turned = yield from _walk_exif(length)
                continue
        yield -length


def _walk_png(header: _Header) -> Walk[None]:
    """Go from chunk to chunk (PNG specification, section 5.3) until the pixels begin."""
    frame = yield 8
    head = yield 8
    if head != b"\0\0\0\x0dIHDR":
        return
    frame += head
    frame += yield 13 + 4  # and its checksum
    while True:
        head = yield 8
        length, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"IDAT":
            header.frame = frame + bytes(4) + kind
            return
        if kind == b"IEND" or not kind.isalpha():
            return
        if kind == b"eXIf" and header.is_turned is None:
            header.is_turned = yield from _walk_exif(length)
            length = 0
        yield -(length + 4)


def _walk_exif(length: int) -> Walk[bool]:
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
