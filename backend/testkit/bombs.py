"""Images that expand to far more than their bytes, and what their headers are measured as."""

import struct
import zlib

from app.imaging.formats import HEAD_BYTES, detect
from app.imaging.inspection import Inspection
from testkit.samples import chunk, jpeg, jpeg_with, png_header, png_with, segment


def measure(data: bytes, piece: int = 1 << 20) -> tuple[int, int] | None:
    image_type = detect(data[:HEAD_BYTES])
    assert image_type
    inspection = Inspection(image_type)
    for begin in range(0, len(data), piece):
        inspection.feed(data[begin : begin + piece])
    return inspection.dimensions()


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


def zeros(count: int) -> bytes:
    """Compress so many bytes."""
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    packed = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*packed, packer.compress(bytes(count & 0xFFFFF)), packer.flush()])


def black_png(width: int, height: int, *, deep: bool = False, more: int = 0) -> bytes:
    """Write a PNG of black pixels, and so many bytes behind them.

    Args:
        width: In pixels, as `height`.
        height: See `width`.
        deep: With 8 bytes a pixel and interlaced, so that decoders keep all of them; else grey.
        more: Bytes.
    """
    bits, kind, pixel = (16, 6, 8) if deep else (8, 0, 1)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, deep)
    filters = 15 * height if deep else height
    data = zeros(filters + height * width * pixel + more)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def huge_jpeg() -> bytes:
    """Write a JPEG that claims 65,500 by 65,500 pixels."""
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 65_500, 65_500)
    return bytes(content)


def jpeg_of_scans(side: int, count: int) -> bytes:
    """Write a valid progressive JPEG, grey and square, with up to 882 scans after the first one.

    Each scan goes over all blocks to say in 50 bytes that one coefficient is 0, or is still
    (ITU-T T.81, G.1.2). The side is more than 1024 pixels.
    """
    blocks = (-(-side // 8)) ** 2
    table = struct.pack(">16B", 1, *[0] * 15)  # one code, of one bit
    data = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    data += segment(0xC2, struct.pack(">BHHBBBB", 8, side, side, 1, 1, 0x11, 0))
    data += segment(0xC4, b"\x00" + table + b"\0") + segment(0xC4, b"\x10" + table + b"\xe0")
    data += segment(0xDA, bytes((1, 1, 0, 0, 0, 0))) + _bits("0" * blocks)
    runs = -(-blocks // 32767)
    lengths = [blocks // runs + (n < blocks % runs) for n in range(runs)]
    scan = _bits("".join(f"0{length - (1 << 14):014b}" for length in lengths))
    scans = [
        segment(0xDA, bytes((1, 1, 0, k, k, (high << 4 | high - 1) if high < 14 else 13))) + scan
        for k in range(1, 64)
        for high in range(14, 0, -1)
    ]
    return data + b"".join(scans[:count]) + b"\xff\xd9"


def _bits(bits: str) -> bytes:
    whole = bits + "1" * (-len(bits) % 8)
    return int(whole, 2).to_bytes(len(whole) // 8).replace(b"\xff", b"\xff\0")
