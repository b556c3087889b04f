"""Real pictures: one of each kind that cameras and programs write."""

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
    picture = jpeg()
    return picture + bytes(size - len(picture))


@cache
def of_every_kind() -> dict[str, tuple[bytes, str]]:
    """Give a picture of each kind, and its media type."""
    noise = _noise(64, 48)
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be shown rotated
    turned = [noise.rotate(90), noise.rotate(180)]
    return {
        "baseline.jpg": (_save(noise, "JPEG"), "image/jpeg"),
        "progressive.jpg": (_save(noise, "JPEG", progressive=True), "image/jpeg"),
        "cmyk.jpg": (_save(noise.convert("CMYK"), "JPEG"), "image/jpeg"),
        "grey.jpg": (_save(noise.convert("L"), "JPEG"), "image/jpeg"),
        "rotated.jpg": (_save(noise, "JPEG", exif=exif), "image/jpeg"),
        "plain.png": (_save(noise, "PNG"), "image/png"),
        "palette.png": (_save(noise.convert("P"), "PNG"), "image/png"),
        "transparent.png": (_save(noise.convert("RGBA"), "PNG"), "image/png"),
        "sixteen-bit.png": (_save(Image.new("I;16", (64, 48), 40_000), "PNG"), "image/png"),
        "animated.png": (_save(noise, "PNG", save_all=True, append_images=turned), "image/png"),
        "interlaced.png": (_interlaced_png(noise.convert("L")), "image/png"),
    }


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
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(lines)))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
