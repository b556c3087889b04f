"""Images of 64 by 48 pixels whose Exif is written in unusual ways, and whether it turns them."""

import struct

from testkit import samples
from testkit.samples import chunk, jpeg_with, png_with, segment

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
ORIENTATION, SHORT, LONG = 0x0112, 3, 4

Entry = tuple[int, int, int, int]
"""Tag, type, number of values, value."""


def tiff(*entries: Entry, order: str = ">", gap: int = 0, count: int | None = None) -> bytes:
    """Write what Exif holds, its directory `gap` bytes behind the head."""
    data = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}I", 8 + gap)
    data += bytes(gap) + struct.pack(f"{order}H", len(entries) if count is None else count)
    for tag, kind, values, value in entries:
        inline = struct.pack(f"{order}HH", value, 0) if kind == SHORT else None
        data += struct.pack(f"{order}HHI", tag, kind, values)
        data += inline or struct.pack(f"{order}I", value)
    return data + bytes(4)


def jpeg(*app1: bytes) -> bytes:
    return jpeg_with(*[segment(0xE1, content) for content in app1])


SIX = (ORIENTATION, SHORT, 1, 6)
PROGRESSIVE = samples.jpeg(progressive=True)
TABLE, SOS = b"\xff\xc4", b"\xff\xda"


def jpeg_turned_at(place: int) -> bytes:
    return PROGRESSIVE[:place] + segment(0xE1, EXIF + tiff(SIX)) + PROGRESSIVE[place:]


LARGEST_GAP = 65_533 - len(EXIF + tiff(SIX))
TURNED = {
    "directory 9,000 bytes into the Exif": jpeg(EXIF + tiff(SIX, gap=9_000)),
    "directory at the end of a whole segment": jpeg(EXIF + tiff(SIX, gap=LARGEST_GAP)),
    "directory at an odd place, little endian": jpeg(EXIF + tiff(SIX, order="<", gap=30_001)),
    "a whole segment of XMP first": jpeg(XMP + bytes(65_000), EXIF + tiff(SIX, gap=50_000)),
    "other entries first": jpeg(EXIF + tiff(*[(tag, SHORT, 1, 1) for tag in range(0x0112)], SIX)),
    "entries not sorted": jpeg(EXIF + tiff((0x0131, SHORT, 1, 1), SIX)),
    "a directory that claims more entries": jpeg(EXIF + tiff(SIX, count=500)),
    "nothing after the directory": jpeg(EXIF + tiff(SIX)[:-4]),
    "another padding byte after the name": jpeg(b"Exif\0\xff" + tiff(SIX)),
    "Exif after the frame header": jpeg_turned_at(PROGRESSIVE.index(SOS)),
    "Exif between tables": jpeg_turned_at(PROGRESSIVE.index(TABLE)),
    "Exif of a name alone first": jpeg(EXIF[:4], EXIF[:5], EXIF, EXIF + tiff(SIX)),
    "PNG, directory far into the Exif": png_with(chunk(b"eXIf", tiff(SIX, gap=200_000))),
}
UPRIGHT = {
    "a LONG": jpeg(EXIF + tiff((ORIENTATION, LONG, 1, 6))),
    "a LONG, little endian": jpeg(EXIF + tiff((ORIENTATION, LONG, 1, 6), order="<")),
    "two values": jpeg(EXIF + tiff((ORIENTATION, SHORT, 2, 6))),
    "orientation 0": jpeg(EXIF + tiff((ORIENTATION, SHORT, 1, 0))),
    "orientation 9": jpeg(EXIF + tiff((ORIENTATION, SHORT, 1, 9))),
    "two orientations": jpeg(EXIF + tiff((ORIENTATION, SHORT, 1, 1), SIX)),
    "only the second Exif turns": jpeg(EXIF + tiff(), EXIF + tiff(SIX)),
    "the first Exif is damaged": jpeg(EXIF + b"garbage!", EXIF + tiff(SIX)),
    "the entry is cut": jpeg(EXIF + tiff(SIX)[:-6]),
    "the directory lies in the head": jpeg(EXIF + tiff(SIX).replace(b"\0\0\0\x08", b"\0\0\0\x04")),
    "the directory lies beyond the end": jpeg(EXIF + tiff(SIX).replace(b"\0\0\0\x08", b"\xff" * 4)),
    "Exif without anything": jpeg(EXIF),
    "Exif of one byte first": jpeg(EXIF + b"M", EXIF + tiff(SIX)),
    "Exif between scans": jpeg_turned_at(PROGRESSIVE.rindex(SOS)),
    "PNG, Exif as in a JPEG": png_with(chunk(b"eXIf", EXIF + tiff(SIX))),
}
