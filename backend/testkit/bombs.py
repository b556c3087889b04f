"""Images that expand to far more than their bytes, and what their headers are measured as."""

import struct
import zlib

from app.imaging.dimensions import HeaderReader
from app.imaging.formats import detect
from testkit.samples import chunk, jpeg_with, png_header, png_with, segment


async def measure(data: bytes, piece: int = 1 << 20) -> tuple[int, int] | None:
    image_type = detect(data[:8])
    assert image_type
    reader = HeaderReader(image_type)
    for begin in range(0, len(data), piece):
        reader.feed(data[begin : begin + piece])
    return await reader.measure()


def overlapping_exif(size: int) -> bytes:
    """Fill half with entries that each say that the other half is theirs."""
    entries = size // 24
    begin = struct.pack(">2sHIH", b"MM", 42, 8, entries)
    values = 10 + 12 * entries
    table = b"".join(
        struct.pack(">HHII", tag, 7, size - values, values) for tag in range(1, entries + 1)
    )
    return b"Exif\0\0" + begin + table + bytes(size - values)


BOMB = zlib.compress(bytes(50_000_000), 9)
BOMBS = {
    "pixels": png_header(60_000, 60_000) + chunk(b"IDAT", BOMB) + chunk(b"IEND", b""),
    "text": png_with(chunk(b"zTXt", b"Comment\0\0" + BOMB)),
    "international text": png_with(chunk(b"iTXt", b"Comment\0\1\0\0\0" + BOMB)),
    "colour profile": png_with(chunk(b"iCCP", b"profile\0\0" + BOMB)),
    "many texts": png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 300),
    "Exif of a JPEG": jpeg_with(segment(0xE1, overlapping_exif(65_000))),
    "Exif of a JPEG, of few entries": jpeg_with(segment(0xE1, overlapping_exif(8 * 1024))),
    "Exif of a JPEG, many times": jpeg_with(segment(0xE1, overlapping_exif(60_000)) * 60),
    "Exif of a PNG": png_with(chunk(b"eXIf", overlapping_exif(1_000_000)[6:])),
}
