"""WebPs and GIFs with something in every place that may not pass when they are stripped."""

import struct
from collections.abc import Iterator
from functools import cache

from testkit.format_samples import gif as gifs
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
    body = b"WEBP" + b"".join(webp_chunk(name, data) for name, data in chunks) + behind
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(name: bytes, data: bytes, padding: bytes = b"\0") -> bytes:
    """Write a chunk of a WebP."""
    return name + struct.pack("<I", len(data)) + data + padding * (len(data) % 2)


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


def _secretive_webps() -> dict[str, bytes]:
    [image] = webp_chunks(webps.encoded())
    secret, turned = (b"SECR", SECRET), (b"EXIF", tiff(SIX) + SECRET)
    xmp, colours = (b"XMP ", SECRET), (b"ICCP", profile.exchanging())
    header, animation, *frames = webp_chunks(webps.animated())
    within = [(name, data + webp_chunk(*secret)) for name, data in frames]
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


def gif_extension(label: int, *blocks: bytes) -> bytes:
    """Write an extension of sub-blocks."""
    return b"!" + bytes((label,)) + b"".join(map(_sub_block, blocks)) + b"\0"


def gif_with(*extensions: bytes, content: bytes = b"") -> bytes:
    """Make a GIF with extensions before its first block, and before its end."""
    content = content or gifs.animated()
    begin = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    both = b"".join(extensions)
    return content[:begin] + both + content[begin:].removesuffix(b";") + both + b";"


def _sub_block(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _secretive_gifs() -> dict[str, bytes]:
    comment = gif_extension(0xFE, SECRET)
    loop = b"\1\0\0"
    return {
        "comments": gif_with(comment, gif_extension(0xFE, SECRET, SECRET * 13, SECRET)),
        "an extension of a program": gif_with(gif_extension(0xFF, b"SECRETS 1.0", SECRET)),
        "an extension of a longer name": gif_with(gif_extension(0xFF, SECRET, SECRET)),
        "extensions that nobody knows": gif_with(*(gif_extension(n, SECRET) for n in (0, 2, 0xFD))),
        "a text as an image": gif_with(gif_extension(0x01, bytes(12), SECRET)),
        "behind the number of loops": gif_with(
            gif_extension(0xFF, b"NETSCAPE2.0", loop, SECRET, b"\1" + SECRET[:2])
        ),
        "in place of the number of loops": gif_with(gif_extension(0xFF, b"ANIMEXTS1.0", SECRET)),
        "behind the end of a GIF": gifs.animated() + SECRET,
        "another GIF behind the end": gifs.animated() + gif_with(comment),
    }


@cache
def all_secretive() -> dict[str, bytes]:
    """Return all that can be decoded, by name."""
    return _secretive_webps() | _secretive_gifs()


@cache
def all_unreadable() -> dict[str, bytes]:
    """Return more, which decoders refuse."""
    [image] = webp_chunks(webps.encoded())
    return {
        "another image": webp(webp_header(0), image, (b"VP8 ", SECRET), (b"VP8L", SECRET)),
        "an animation that is not announced": webp(webp_header(0), image, (b"ANMF", SECRET)),
        "too little for a chunk": webp(image, behind=SECRET[:7]),
        "an extension of no name": gif_with(gif_extension(0xFF), gif_extension(0xFE, SECRET)),
    }
