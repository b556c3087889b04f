"""WebPs with something in every place that may not pass."""

import struct
from collections.abc import Iterator
from itertools import starmap

from testkit.format_samples import picture, profile
from testkit.format_samples import webp as webps
from testkit.format_samples.private import SECRET
from testkit.orientations import SIX, tiff

PROFILE, ALPHA, EXIF, XMP, ANIMATION = 0x20, 0x10, 0x08, 0x04, 0x02
"""Flags of VP8X."""

Chunk = tuple[bytes, bytes]
"""Name and body."""


def webp(*chunks: Chunk, behind: bytes = b"") -> bytes:
    """Write a WebP of these chunks, with bytes behind the last that are too few for another."""
    return webps.riff(b"".join(starmap(webps.chunk, chunks)) + behind)


def webp_chunks(content: bytes) -> Iterator[Chunk]:
    """Read the chunks of a WebP."""
    place = 12
    while place < len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        yield name, content[place + 8 : place + 8 + length]
        place += 8 + length + length % 2


def webp_header(flags: int, size: tuple[int, int] = picture.SIZE) -> Chunk:
    """Write VP8X."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return b"VP8X", bytes((flags, 0, 0, 0)) + sides


def all_secretive() -> dict[str, bytes]:
    """Return WebPs that can be decoded, by name."""
    [image] = webp_chunks(webps.encoded())
    secret, turned = (b"SECR", SECRET), (b"EXIF", tiff(SIX) + SECRET)
    xmp, colours = (b"XMP ", SECRET), (b"ICCP", profile.exchanging())
    header, animation, *frames = webp_chunks(webps.animated())
    within = [(name, data + webps.chunk(*secret)) for name, data in frames]
    return {
        "Exif, turned, and XMP": webp(webp_header(EXIF | XMP), image, turned, xmp),
        "Exif, not turned": webp(webp_header(EXIF), image, (b"EXIF", tiff() + SECRET)),
        "Exif of which little is left": webp(
            webp_header(EXIF), image, (b"EXIF", b"MM\0*" + 2 * SECRET)
        ),
        "Exif before the pixels": webp(webp_header(EXIF), turned, image),
        "Exif again": webp(webp_header(EXIF), image, (b"EXIF", tiff(SIX)), turned),
        "Exif that is not announced": webp(webp_header(XMP), image, turned, xmp),
        "Exif in a simple file": webp(image, turned, xmp),
        "a profile that is not announced": webp(webp_header(0), (b"ICCP", SECRET), image),
        "a profile again": webp(webp_header(PROFILE), colours, image, (b"ICCP", SECRET)),
        "another image in a simple file": webp(image, (b"VP8 ", SECRET), (b"ALPH", SECRET)),
        "another header": webp(image, (b"VP8X", SECRET), (b"ANIM", SECRET)),
        "chunks that nobody knows": webp(webp_header(0), secret, image, secret, secret),
        "filler": webp(webp_header(0), image, (b"JUNK", SECRET)),
        "within frames": webp(header, secret, animation, *within, secret),
        "behind the end": webp(image) + SECRET,
    }


def all_unreadable() -> dict[str, bytes]:
    """Return more, which decoders refuse."""
    [image] = webp_chunks(webps.encoded())
    return {
        "another image": webp(webp_header(0), image, (b"VP8 ", SECRET), (b"VP8L", SECRET)),
        "an animation that is not announced": webp(webp_header(0), image, (b"ANMF", SECRET)),
        "too little for a chunk": webp(image, behind=SECRET[:7]),
    }
