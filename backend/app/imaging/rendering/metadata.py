"""What is written in an original about how it was made (ADR 43).

Each library that opens a file, to decode it or not, finds the one block of Exif. Pillow reads two
directories of it: that of the image, and that of how it was taken. The one of GPS, maker notes,
XMP, IPTC, comments and texts are not looked at.
"""

import re
from typing import Final

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from app.domain.metadata import OFFSET, Metadata, clean
from app.domain.thumbnails import MAX_RENDER_ERROR
from app.imaging.rendering.decoders import OPENERS
from app.imaging.rendering.original import read_original

MAX_EXIF: Final = 256 * 1024
"""Bytes. A segment of a JPEG has less than 64 KiB; elsewhere there may be a thumbnail in it."""

_BYTE_ORDERS: Final = (b"II*\0", b"MM\0*")
_TIME: Final = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)", re.ASCII)

_Base = ExifTags.Base


def try_to_extract(descriptor: int) -> tuple[Metadata, str]:
    """Return the metadata of an open file; where it cannot be read, none, and what is wrong."""
    try:
        return _extract(descriptor), ""
    except Exception as error:  # noqa: BLE001 - Pillow raises anything
        return {}, f"{type(error).__name__}: {error}"[:MAX_RENDER_ERROR]


def _extract(descriptor: int) -> Metadata:
    original = read_original(descriptor)
    if original.type is None:
        return {}
    block = OPENERS[original.type](descriptor).exif.removeprefix(b"Exif\0\0")[:MAX_EXIF]
    exif = Image.Exif()
    exif.load(block if block.startswith(_BYTE_ORDERS) else b"")
    taken = exif.get_ifd(ExifTags.IFD.Exif)
    return clean(
        {
            "camera_make": _text(exif.get(_Base.Make)),
            "camera_model": _text(exif.get(_Base.Model)),
            "lens": _text(taken.get(_Base.LensModel)),
            "software": _text(exif.get(_Base.Software)),
            "taken_at": _time(
                taken.get(_Base.DateTimeOriginal), taken.get(_Base.OffsetTimeOriginal)
            ),
            "exposure_time": _number(taken.get(_Base.ExposureTime)),
            "f_number": _number(taken.get(_Base.FNumber)),
            "iso": _number(taken.get(_Base.ISOSpeedRatings)),
            "focal_length": _number(taken.get(_Base.FocalLength)),
            "focal_length_35mm": _number(taken.get(_Base.FocalLengthIn35mmFilm)),
            "orientation": original.header.orientation,
        }
    )


def _text(value: object) -> object:
    """Return a text up to its first NUL. Pillow takes it for Latin-1; most programs write UTF-8."""
    if not isinstance(value, str):
        return None
    text = value.partition("\0")[0]
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _time(value: object, offset: object) -> str | None:
    """Return a local time as ISO 8601 writes it, with its offset from UTC if that is known."""
    found = _TIME.fullmatch(str(_text(value)).strip())
    if not found:
        return None
    known = str(_text(offset)).strip()
    year, month, day, time = found.groups()
    return f"{year}-{month}-{day}T{time}{known if OFFSET.fullmatch(known) else ''}"


def _number(value: object) -> object:
    """Return the first of several numbers; of a fraction NaN if its denominator is zero."""
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, IFDRational) else first
