"""Parts of files of each type; those for metadata hold the secret."""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from app.imaging.formats import ImageType
from testkit import samples
from testkit.format_samples import isobmff, picture, private, webp
from testkit.format_samples.isobmff import Item, full_box
from testkit.format_samples.private import SECRET, box
from testkit.samples import chunk, segment


class Parts(NamedTuple):
    """What files of a type are put together of."""

    start: bytes
    parts: tuple[bytes, ...]
    close: Callable[[bytes], bytes] = bytes
    """Writes the file's length into it, where it has one."""


def _exif(orientation: int) -> bytes:
    """Write Exif that turns, with the secret behind its directory."""
    return samples.exif(orientation) + SECRET


_SMALL: Final = picture.upright().resize((8, 8))
_SOF: Final = struct.pack(">BHHBBBB", 8, 8, 8, 1, 1, 17, 0)
_JPEG: Final = Parts(
    b"\xff\xd8",
    (
        b"\xff\xd9",
        b"\xff\xd8",
        b"\xff\xd0",
        b"\xff\xff\xff",
        segment(0xC0, _SOF),
        segment(0xC2, struct.pack(">BHHBBBB", 8, 16, 24, 1, 1, 17, 0)),
        segment(0xC4, b"\0" + bytes(16)),
        segment(0xDB, b"\0" + bytes(range(1, 65))),
        segment(0xDD, b"\0\1"),
        segment(0xDC, b"\0\10"),
        segment(0xDA, b"\1\1\0\0\x3f\0") + b"pixels\xff\0more\xff\xd1",
        segment(0xDA, b"\1\1\0\0\x3f\0") + b"pixels\xff",
        segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0"),
        segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\3\2" + SECRET[:18]),
        segment(0xE0, b"JFXX\0\x10" + SECRET),
        *(segment(0xE1, _exif(number)) for number in (1, 3, 6)),
        segment(0xE1, b"Exif\0\0"),
        private.xmp_segment(),
        segment(0xE2, b"ICC_PROFILE\0\1\1" + b"profile"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"MPF\0" + SECRET),
        segment(0xED, b"Photoshop 3.0\0" + private.iptc()),
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\1"),
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET),
        segment(0xEE, SECRET),
        segment(0xE4, SECRET),
        segment(0xFE, SECRET),
        segment(0xF0, SECRET),
        segment(0xDE, b"\0\10\0\10\0\10\0"),
        samples.jpeg(8, 8, exif=private.exif(6)),
    ),
)
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_PNG: Final = Parts(
    _PNG_START,
    (
        *(
            chunk(b"IHDR", struct.pack(">IIBBBBB", *both, 8, 2, 0, 0, 0))
            for both in ((8, 8), (9, 3))
        ),
        chunk(b"IEND", b""),
        chunk(b"IDAT", b"pixels"),
        chunk(b"IDAT", b""),
        chunk(b"PLTE", bytes(6)),
        chunk(b"tRNS", b"\0"),
        chunk(b"gAMA", struct.pack(">I", 45_455)),
        chunk(b"sRGB", b"\0"),
        chunk(b"cICP", b"\1\x0d\0\1"),
        chunk(b"iCCP", b"name\0\0profile"),
        chunk(b"acTL", bytes(8)),
        chunk(b"fcTL", bytes(26)),
        chunk(b"fdAT", b"\0\0\0\1pixels"),
        chunk(b"pHYs", bytes(9)),
        chunk(b"gAMA", SECRET),
        chunk(b"tEXt", b"Comment\0" + SECRET),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET),
        chunk(b"zTXt", b"Comment\0\0" + SECRET),
        chunk(b"tIME", SECRET),
        chunk(b"seCr", SECRET),
        chunk(b"IEND", SECRET),
        chunk(b"SeCr", SECRET),
        *(chunk(b"eXIf", _exif(number).removeprefix(b"Exif\0\0")) for number in (1, 3, 6)),
        picture.save(_SMALL, "PNG"),
    ),
)


def _sub_blocks(data: bytes) -> bytes:
    """Write data as sub-blocks (GIF89a, section 15)."""
    parts = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\0"


_IMAGE: Final = struct.pack("<cHHHH", b",", 0, 0, 8, 8)
_GIF: Final = Parts(
    b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0),
    (
        struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6),
        _IMAGE + b"\0\2" + _sub_blocks(b"pixels"),
        _IMAGE + b"\x80" + bytes(6) + b"\2" + _sub_blocks(b"pixels" * 60),
        _IMAGE + b"\0\2\0",
        b";",
        b"\0",
        b"!\xf9\4\4\0\0\0\0",
        b"!\xf9" + _sub_blocks(SECRET),
        b"!\xfe" + _sub_blocks(SECRET),
        b"!\x01" + _sub_blocks(bytes(12)) + b"",
        b"!\x01\x0c" + bytes(12) + _sub_blocks(SECRET),
        b"!\xff\x0bNETSCAPE2.0" + _sub_blocks(b"\1\0\0"),
        b"!\xff\x0bNETSCAPE2.0" + _sub_blocks(b"\1\0\0" + SECRET),
        b"!\xff\x0bNETSCAPE2.0" + _sub_blocks(SECRET),
        b"!\xff\x0bANIMEXTS1.0" + _sub_blocks(b"\1\0\0"),
        b"!\xff\x0bICCRGBG1012" + _sub_blocks(b"profile"),
        b"!\xff\x0bXMP DataXMP" + private.xmp() + b"\1" + bytes(range(255, -1, -1)) + b"\0",
        b"!\xff" + _sub_blocks(SECRET[:11] + SECRET),
        b"!\xcc" + _sub_blocks(SECRET),
        picture.save(_SMALL.quantize(4), "GIF")[6:],
    ),
)


def _extended(flags: int) -> bytes:
    return webp.chunk(b"VP8X", bytes((flags, 0, 0, 0)) + b"\x07\0\0\x07\0\0")


def _riff_length(content: bytes) -> bytes:
    return content[:4] + struct.pack("<I", max(len(content) - 8, 0)) + content[8:]


_WEBP_STILLS: Final = [
    picture.save(_SMALL, "WEBP", **options)[12:] for options in ({}, {"lossless": True})
]
_WEBP_FRAME: Final = bytes(6) + b"\x07\0\0\x07\0\0" + b"\x64\0\0\0"
_WEBP: Final = Parts(
    b"RIFF\0\1\0\0WEBP",
    (
        *_WEBP_STILLS,
        *(_extended(flags) for flags in (0, 0x2C, 0x3E, 0x02, 0x0C, 0xFF)),
        webp.chunk(b"ICCP", b"profile"),
        webp.chunk(b"ALPH", b"\0alpha"),
        webp.chunk(b"ANIM", bytes(6)),
        webp.chunk(b"ANIM", bytes(6) + SECRET),
        *(webp.chunk(b"ANMF", _WEBP_FRAME + still) for still in _WEBP_STILLS),
        webp.chunk(b"ANMF", _WEBP_FRAME + webp.chunk(b"ALPH", b"\0alpha") + _WEBP_STILLS[0]),
        webp.chunk(b"ANMF", _WEBP_FRAME + _WEBP_STILLS[1] + webp.chunk(b"SECR", SECRET)),
        webp.chunk(b"ANMF", _WEBP_FRAME + webp.chunk(b"EXIF", _exif(6)) + _WEBP_STILLS[1]),
        webp.chunk(b"ANMF", SECRET),
        webp.chunk(b"VP8X", bytes((8, 0, 0, 0)) + b"\x07\0\0\x07\0\0" + SECRET),
        *(webp.chunk(b"EXIF", _exif(number)) for number in (1, 3, 6)),
        *(webp.chunk(b"EXIF", _exif(number).removeprefix(b"Exif\0\0")) for number in (1, 6)),
        webp.chunk(b"XMP ", SECRET),
        webp.chunk(b"SECR", SECRET),
        webp.chunk(b"RIFF", SECRET),
    ),
    _riff_length,
)
_EXTENT: Final = isobmff.extent(8, 6)
_ITEMS: Final = isobmff.write(
    b"",
    [
        Item(b"grid", isobmff.grid(1, 2, 16, 6), [_EXTENT, *isobmff.turning(6)]),
        *2 * [Item(b"av01", b"pixels", [_EXTENT, box(b"av1C", b"\x81\0\x0c\0")], hidden=True)],
        Item(b"Exif", bytes(4) + _exif(6).removeprefix(b"Exif\0\0"), hidden=True),
    ],
    [(b"dimg", 1, [2, 3]), (b"cdsc", 4, [1])],
)


def _meta(*boxes: bytes) -> bytes:
    return full_box(b"meta", b"".join(boxes))


_HANDLER: Final = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
_TABLES: Final = (
    full_box(b"pitm", b"\0\1"),
    full_box(b"pitm", b"\0\0\0\1", version=1),
    full_box(b"iinf", b"\0\1" + full_box(b"infe", b"\0\1\0\0av01\0", version=2)),
    full_box(b"iinf", b"\0\1" + full_box(b"infe", b"\0\1\0\0grid\0", version=2)),
    full_box(b"iloc", b"\x44\0\0\1\0\1\0\0\0\1\0\0\0\x80\0\0\0\x08"),
    full_box(b"iloc", b"\x44\0\0\1\0\1\0\1\0\0\0\1\0\0\0\x80\0\0\0\x08", version=1),
)


def _properties(*boxes: bytes) -> bytes:
    count = len(boxes)
    owned = struct.pack(">IHB", 1, 1, count) + bytes(range(1, count + 1))
    return box(b"iprp", box(b"ipco", b"".join(boxes)) + full_box(b"ipma", owned))


_CROP: Final = box(b"clap", struct.pack(">8I", 4, 1, 2, 1, 0, 1, 0, 1))
_ISOBMFF: Final = (
    _ITEMS,
    _meta(_HANDLER, *_TABLES[::2], _properties(_EXTENT)),
    _meta(_HANDLER, *_TABLES[::3], _TABLES[4], _properties(_EXTENT, _CROP, *isobmff.turning(7))),
    _meta(_HANDLER, *_TABLES[1::2], _properties(*isobmff.turning(5), _EXTENT)),
    _meta(_HANDLER),
    _meta(full_box(b"hdlr", bytes(4) + b"vide" + bytes(13)), *_TABLES),
    *_TABLES,
    _HANDLER,
    _properties(_EXTENT),
    box(b"mdat", b"pixels" * 40),
    b"\0\0\0\0mdat",
    b"\0\0\0\1mdat\0\0\0\0\0\0\0\x18pixels..",
    box(b"free", bytes(5)),
    box(b"uuid", bytes(16) + SECRET),
    private.film(),
    b"\0\0\1\0meta\0\0\0\0",
    b"\0\0\0\x04",
    b"\xff\xff\xff\xff",
)


def _brand(brand: bytes) -> bytes:
    return box(b"ftyp", brand + bytes(4) + b"mif1" + brand)


PARTS: Final = {
    ImageType.JPEG: _JPEG,
    ImageType.PNG: _PNG,
    ImageType.GIF: _GIF,
    ImageType.WEBP: _WEBP,
    ImageType.AVIF: Parts(_brand(b"avif"), _ISOBMFF),
    ImageType.HEIC: Parts(_brand(b"heic"), _ISOBMFF),
}
