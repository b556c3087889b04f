"""Sample images: one of each kind that cameras and programs write."""

import re
import struct
import zlib
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image

ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""The passes of an interlaced PNG: first column and row, steps across and down."""


def jpeg(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return _save(_noise(width, height), "JPEG", **options)


def png(width: int = 64, height: int = 48, **options: Any) -> bytes:
    return _save(_noise(width, height), "PNG", **options)


def sized_jpeg(size: int) -> bytes:
    """Make a JPEG of exactly `size` bytes: what follows its end marker is part of the file too."""
    content = jpeg()
    return content + bytes(size - len(content))


@cache
def of_every_kind() -> dict[str, tuple[bytes, str]]:
    """Return an image of each kind, and its media type. All have 64 by 48 pixels."""
    noise = _noise(64, 48)
    turned = [noise.rotate(90), noise.rotate(180)]
    plain_jpeg, plain_png = _save(noise, "JPEG"), _save(noise, "PNG")
    jpegs = {
        "baseline.jpg": plain_jpeg,
        "progressive.jpg": _save(noise, "JPEG", progressive=True),
        "cmyk.jpg": _save(noise.convert("CMYK"), "JPEG"),
        "grey.jpg": _save(noise.convert("L"), "JPEG"),
        "restarts.jpg": _save(noise, "JPEG", restart_marker_rows=1),
        "thumbnail.jpg": jpeg_with(segment(0xE1, exif(1, thumbnail=jpeg(160, 120)))),
        "print-profile.jpg": _save(noise, "JPEG", icc_profile=bytes(557_168)),
        "xmp-first.jpg": jpeg_with(
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"), segment(0xE1, exif(8))
        ),
        "leading-junk.jpg": jpeg_with(
            b"\xff\xff\xff",  # fill bytes: the marker's own 0xFF follows
            segment(0xFE, b"a comment with \xff\xc0 in it"),
            b"junk \xff\x00 between",
            b"\xff\xd0",  # a restart marker where none belongs
            segment(0xEF, bytes(65_533)),
        ),
        **{f"orientation-{n}.jpg": jpeg_with(segment(0xE1, exif(n))) for n in range(1, 9)},
        **{
            f"orientation-{n}-little-endian.jpg": jpeg_with(segment(0xE1, exif(n, order="<")))
            for n in (1, 6)
        },
    }
    text = chunk(b"tEXt", b"Comment\0before the palette")
    compressed = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"again" * 1000))
    international = chunk(b"iTXt", b"Comment\0\0\0de\0Bemerkung\0" + "schön".encode())
    pngs = {
        "plain.png": plain_png,
        "palette.png": _save(noise.convert("P"), "PNG"),
        "one-bit.png": _save(noise.convert("1"), "PNG"),
        "transparent.png": _save(noise.convert("RGBA"), "PNG"),
        "sixteen-bit.png": _save(Image.new("I;16", (64, 48), 40_000), "PNG"),
        "animated.png": _save(noise, "PNG", save_all=True, append_images=turned),
        "interlaced.png": _interlaced_png(noise.convert("L")),
        "text-first.png": png_with(text, compressed, international),
        "orientation-6.png": png_with(chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))),
    }
    return {name: (content, "image/jpeg") for name, content in jpegs.items()} | {
        name: (content, "image/png") for name, content in pngs.items()
    }


def shown(name: str) -> tuple[int, int]:
    """Return the width and height with which viewers show an image of `of_every_kind`."""
    orientation = re.match(r"orientation-(\d)|(xmp-first)", name)
    turned = orientation and (orientation[2] or orientation[1] in "5678")
    return (48, 64) if turned else (64, 48)


def exif(orientation: int, order: str = ">", thumbnail: bytes = b"") -> bytes:
    """Write Exif with an orientation, and a thumbnail within the image."""
    begin = b"MM\0*" if order == ">" else b"II*\0"
    second = 8 + 2 + 12 + 4
    data = b"Exif\0\0" + begin + struct.pack(f"{order}I", 8)
    data += struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, second)
    data += struct.pack(f"{order}HHHIHH", 3, 0x0103, 3, 1, 6, 0)
    data += struct.pack(f"{order}HHII", 0x0201, 4, 1, second + 2 + 3 * 12 + 4)
    data += struct.pack(f"{order}HHII", 0x0202, 4, 1, len(thumbnail))
    return data + bytes(4) + thumbnail


def png_header(width: int, height: int, *, interlaced: bool = False) -> bytes:
    """Write the signature and the header of a grey PNG."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def jpeg_header(width: int, height: int, bits: int = 8, marker: int = 0xC0) -> bytes:
    """Write the start and the frame header of a grey JPEG."""
    return b"\xff\xd8" + segment(marker, struct.pack(">BHHBBBB", bits, height, width, 1, 1, 17, 0))


def segment(marker: int, data: bytes) -> bytes:
    """Write a segment of a JPEG."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def chunk(kind: bytes, data: bytes) -> bytes:
    """Write a chunk of a PNG."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def jpeg_with(*segments: bytes) -> bytes:
    """Make a JPEG with these segments right after its start."""
    content = jpeg()
    return content[:2] + b"".join(segments) + content[2:]


def png_with(*chunks: bytes) -> bytes:
    """Make a PNG with these chunks right after its header."""
    content = png()
    return content[:33] + b"".join(chunks) + content[33:]


def _noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


def _save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _interlaced_png(grey: Image.Image) -> bytes:
    """Write a PNG with Adam7 interlacing, which Pillow reads but does not write."""
    width, height = grey.size
    pixels = grey.tobytes()
    lines = bytearray()
    for column, row, across, down in ADAM7:
        for y in range(row, height, down):
            lines += b"\0" + pixels[y * width + column : (y + 1) * width : across]
    header = png_header(width, height, interlaced=True)
    return header + chunk(b"IDAT", zlib.compress(bytes(lines))) + chunk(b"IEND", b"")
