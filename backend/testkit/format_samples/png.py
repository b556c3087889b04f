"""PNG, animated too."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from app.imaging.formats import ImageType
from testkit import samples
from testkit.format_samples import picture, private, profile
from testkit.format_samples.sample import Sample
from testkit.samples import chunk

_PNG: Final = ImageType.PNG
_HEADER_END: Final = 33


def all_samples() -> Iterator[Sample]:
    """Make all PNGs."""
    plain = picture.save(picture.upright(), "PNG")
    yield Sample(_PNG, "plain", plain)
    yield Sample(_PNG, "plain", picture.save(picture.upright().quantize(), "PNG"), "palette")
    for number in range(1, 9):
        stored = picture.save(picture.turned(number), "PNG")
        turned = chunk(b"eXIf", samples.exif(number).removeprefix(b"Exif\0\0"))
        content = stored[:_HEADER_END] + turned + stored[_HEADER_END:]
        yield Sample(_PNG, "orientation", content, str(number))
    stored = picture.save(profile.stored(), "PNG", icc_profile=profile.exchanging())
    yield Sample(_PNG, "colour profile", stored)
    yield Sample(_PNG, "alpha", picture.save(picture.with_alpha(), "PNG"))
    yield Sample(_PNG, "alpha", _palette_with_alpha(), "palette")
    yield Sample(_PNG, "deep colours", _sixteen_bit(), "16 bit")
    first, others = picture.frames()
    animated = picture.save(first, "PNG", save_all=True, append_images=others, duration=100)
    yield Sample(_PNG, "animation", animated)
    yield Sample(_PNG, "truncated", plain[: len(plain) * 7 // 10])
    yield Sample(_PNG, "wrong extension", plain, extension=".jpg")
    yield Sample(_PNG, "appended data", plain + private.SECRET)
    yield Sample(_PNG, "metadata", with_metadata(plain))


def with_metadata(content: bytes, orientation: int = 1) -> bytes:
    """Add metadata of each kind behind the header of a PNG, and behind its pixels."""
    exif = private.exif(orientation).removeprefix(b"Exif\0\0")
    iptc = private.iptc()
    raw = f"\niptc\n{len(iptc):8}\n{iptc.hex()}\n".encode()
    parts = (
        chunk(b"eXIf", exif),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + private.xmp()),
        chunk(b"zTXt", b"Raw profile type iptc\0\0" + zlib.compress(raw)),
        chunk(b"tEXt", b"Comment\0" + private.SECRET),
        chunk(b"tIME", struct.pack(">HBBBBB", 2026, 3, 4, 5, 6, 7)),
        chunk(b"seCr", private.SECRET),
    )
    end = content.rindex(b"IEND") - 4
    last = chunk(b"tEXt", b"Author\0" + private.SECRET)
    head, pixels = content[:_HEADER_END], content[_HEADER_END:end]
    return head + b"".join(parts) + pixels + last + content[end:]


def _palette_with_alpha() -> bytes:
    return picture.save(picture.with_alpha().quantize(method=2), "PNG")


def _sixteen_bit() -> bytes:
    """Write the picture with 16 bits for each colour, which Pillow does not."""
    width, height = picture.SIZE
    deep = bytes(part for part in picture.upright().tobytes() for _ in range(2))
    row = 6 * width
    lines = b"".join(b"\0" + deep[y * row : (y + 1) * row] for y in range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")
