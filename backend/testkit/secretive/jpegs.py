"""JPEGs with something in every place that may not pass."""

from testkit import samples
from testkit.format_samples.private import SECRET
from testkit.orientations import EXIF, PROGRESSIVE, SIX, SOS, XMP, jpeg, tiff
from testkit.samples import jpeg_with, segment

_SIX_EXIF = EXIF + tiff(SIX)


def _jpeg_with_at(place: int, inserted: bytes, content: bytes = PROGRESSIVE) -> bytes:
    return content[:place] + inserted + content[place:]


_SECOND_SCAN = PROGRESSIVE.index(SOS, PROGRESSIVE.index(SOS) + 2)
_COMMENT = segment(0xFE, SECRET)
_RESTARTS = samples.jpeg(restart_marker_rows=1)
_JFIF_BEGINNING = b"JFIF\0\1\2\1\0\x48\0\x48"
_ADOBE = b"Adobe\0\x64\0\0\0\0\1"

SECRETIVE = {
    "a segment of each application": jpeg_with(*(segment(0xE0 + n, SECRET) for n in range(16))),
    "known names only begun": jpeg_with(
        segment(0xE0, b"JFIF" + SECRET),
        segment(0xE0, b"JFIF\0" + SECRET[:8]),
        segment(0xE2, b"ICC_PROFIL" + SECRET),
        segment(0xEE, b"Adobe" + SECRET[:6]),
    ),
    "a thumbnail in JFIF": jpeg_with(segment(0xE0, _JFIF_BEGINNING + b"\2\6" + SECRET)),
    "a thumbnail in JFXX": jpeg_with(segment(0xE0, b"JFXX\0\x10" + samples.jpeg() + SECRET)),
    "more behind Adobe's": jpeg_with(segment(0xEE, _ADOBE + SECRET)),
    "Exif with an orientation": jpeg(_SIX_EXIF + SECRET),
    "Exif without one": jpeg(EXIF + tiff() + SECRET),
    "Exif of which little is left": jpeg(EXIF + b"MM\0*" + SECRET),
    "Exif again": jpeg(_SIX_EXIF, _SIX_EXIF + SECRET),
    "XMP and its extension": jpeg(XMP + SECRET, b"http://ns.adobe.com/xmp/extension/\0" + SECRET),
    "IPTC": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04" + SECRET)),
    "other images' places, and FlashPix": jpeg_with(
        segment(0xE2, b"MPF\0" + SECRET), segment(0xE2, b"FPXR\0" + SECRET)
    ),
    "a comment": jpeg_with(_COMMENT),
    "bytes of no segment": jpeg_with(
        _COMMENT, SECRET, b"\xff\xff\xff" + _COMMENT, b"\xff\0" + SECRET + b"\xff\xd3"
    ),
    "before the first scan": _jpeg_with_at(PROGRESSIVE.index(SOS), _COMMENT + SECRET),
    "between scans": _jpeg_with_at(
        _SECOND_SCAN, _COMMENT + segment(0xE1, _SIX_EXIF + SECRET) + SECRET
    ),
    "within a scan": _jpeg_with_at(len(PROGRESSIVE) - 50, _COMMENT + SECRET),
    "within a scan with restarts": _jpeg_with_at(
        len(_RESTARTS) // 2, b"\xff" + _COMMENT + SECRET + b"\xff\xd4" + SECRET, _RESTARTS
    ),
    "before the end": samples.jpeg()[:-2] + _COMMENT + SECRET + b"\xff\xd9",
    "behind the end": samples.jpeg() + SECRET,
    "another image behind the end": samples.jpeg() + jpeg_with(_COMMENT),
    "a film behind the end": samples.jpeg() + b"\0\0\0\x18ftypmp42" + SECRET * 5000,
}
