"""Metadata that says where and by whom a photograph was taken, and with what camera."""

import struct
from typing import Final

from PIL import ExifTags, Image

from testkit.samples import segment

SECRET: Final = b"SECRET-of-the-owner"
"""In each part of a file that people may want removed, and nowhere else."""
CAMERA: Final = {
    "make": "Acme",
    "model": "Acme One",
    "lens": "Acme 35mm F1.8",
    "software": "Acme OS 7.1",
    "taken": "2026:03:04 05:06:07",
}
"""What may be shown of it."""
EXPOSURE: Final = {"time": 0.005, "f_number": 2.8, "iso": 400, "focal_length": 35.0}

XMP_NAME: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PACKET: Final = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:GCamera="http://ns.google.com/photos/1.0/camera/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 exif:GPSLatitude="48,51.5N" exif:GPSLongitude="2,17.7E" dc:source="{secret}" {more}/>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def exif(orientation: int = 1) -> bytes:
    """Write Exif with a camera, its exposure, a place, a maker note and a name."""
    secret = SECRET.decode()
    data = Image.Exif()
    data[ExifTags.Base.Orientation] = orientation
    data[ExifTags.Base.Make] = CAMERA["make"]
    data[ExifTags.Base.Model] = CAMERA["model"]
    data[ExifTags.Base.Software] = CAMERA["software"]
    data[ExifTags.Base.ImageDescription] = secret
    data[ExifTags.Base.XPAuthor] = secret.encode("utf-16-le") + SECRET
    photo = data.get_ifd(ExifTags.IFD.Exif)
    photo[ExifTags.Base.DateTimeOriginal] = CAMERA["taken"]
    photo[ExifTags.Base.LensModel] = CAMERA["lens"]
    photo[ExifTags.Base.ExposureTime] = EXPOSURE["time"]
    photo[ExifTags.Base.FNumber] = EXPOSURE["f_number"]
    photo[ExifTags.Base.ISOSpeedRatings] = int(EXPOSURE["iso"])
    photo[ExifTags.Base.FocalLength] = EXPOSURE["focal_length"]
    photo[ExifTags.Base.UserComment] = b"ASCII\0\0\0" + SECRET
    photo[ExifTags.Base.MakerNote] = b"ACME\0" + SECRET
    place = data.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef] = "N"
    place[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 30.0)
    place[ExifTags.GPS.GPSLongitudeRef] = "E"
    place[ExifTags.GPS.GPSLongitude] = (2.0, 17.0, 42.0)
    place[ExifTags.GPS.GPSAreaInformation] = SECRET
    return data.tobytes()


def xmp(more: str = "") -> bytes:
    """Write XMP with a place, and more attributes."""
    return _PACKET.format(secret=SECRET.decode(), more=more).encode()


def xmp_segment(more: str = "") -> bytes:
    """Write XMP as the segment of a JPEG."""
    return segment(0xE1, XMP_NAME + xmp(more))


def iptc() -> bytes:
    """Write IPTC with a city, in the resource of Photoshop that holds it."""
    city = b"\x1c\x02\x5a" + struct.pack(">H", len(SECRET)) + SECRET
    return b"8BIM\x04\x04\0\0" + struct.pack(">I", len(city)) + city + b"\0" * (len(city) % 2)


def film() -> bytes:
    """Write an MP4 file as phones append it, of no frames, with a place."""
    place = struct.pack(">HH", len(SECRET), 0) + SECRET
    user = box(b"udta", box(b"\xa9xyz", place))
    header = box(b"mvhd", bytes(4 + 96))
    head = box(b"ftyp", b"mp42\0\0\0\0isommp42")
    return head + box(b"moov", header + user) + box(b"mdat", SECRET)


def box(kind: bytes, data: bytes) -> bytes:
    """Write a box (ISO/IEC 14496-12, 4.2)."""
    return struct.pack(">I", 8 + len(data)) + kind + data
