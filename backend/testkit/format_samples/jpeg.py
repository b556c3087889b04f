"""JPEG, and what phones and cameras put behind it."""

import struct
from collections.abc import Iterator
from typing import Final

from PIL import Image

from app.imaging.formats import ImageType
from testkit import samples
from testkit.format_samples import picture, private, profile
from testkit.format_samples.sample import Sample
from testkit.samples import segment

_JPEG: Final = ImageType.JPEG


def all_samples() -> Iterator[Sample]:
    """Make all JPEGs."""
    plain = encoded()
    yield Sample(_JPEG, "plain", plain)
    yield Sample(_JPEG, "plain", encoded(progressive=True), "progressive")
    for number in range(1, 9):
        yield Sample(_JPEG, "orientation", _oriented(number), str(number), picture.SIZE)
    stored = picture.save(profile.stored(), "JPEG", icc_profile=profile.exchanging(), quality=90)
    yield Sample(_JPEG, "colour profile", stored)
    yield Sample(_JPEG, "truncated", plain[: len(plain) * 7 // 10])
    yield Sample(_JPEG, "wrong extension", plain, extension=".png")
    yield Sample(_JPEG, "appended data", plain + private.SECRET)
    yield Sample(_JPEG, "metadata", with_metadata())
    yield Sample(_JPEG, "MPO", _mpo())
    yield Sample(_JPEG, "motion photo", _motion_photo())
    yield Sample(_JPEG, "Ultra HDR", _ultra_hdr())


def encoded(**options: object) -> bytes:
    """Encode the picture, without anything else."""
    return picture.save(picture.upright(), "JPEG", quality=90, **options)


def with_metadata(content: bytes | None = None, orientation: int = 1, more: str = "") -> bytes:
    """Add metadata of each kind behind the start of a JPEG."""
    content = content or encoded()
    parts = (
        segment(0xE1, private.exif(orientation)),
        private.xmp_segment(more),
        segment(0xED, b"Photoshop 3.0\0" + private.iptc()),
        segment(0xFE, private.SECRET),
        segment(0xE4, b"MAKER\0" + private.SECRET),
    )
    return content[:2] + b"".join(parts) + content[2:]


def _oriented(number: int) -> bytes:
    stored = picture.save(picture.turned(number), "JPEG", quality=90)
    return stored[:2] + segment(0xE1, samples.exif(number)) + stored[2:]


def _mpo() -> bytes:
    """Make two photographs in one file (CIPA DC-007), each with its Exif."""
    other = picture.turned(3)
    options = {"exif": private.exif(), "quality": 90}
    return picture.save(picture.upright(), "MPO", save_all=True, append_images=[other], **options)


def _motion_photo() -> bytes:
    film = private.film()
    more = 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" '
    more += f'GCamera:MicroVideoOffset="{len(film)}"'
    return with_metadata(more=more) + film


def _ultra_hdr() -> bytes:
    """Make a photograph with a gain map behind it (Ultra HDR 1.1), which MPF points to."""
    grey = Image.new("L", (64, 48), 100)
    gain = with_metadata(
        picture.save(grey, "JPEG"), more='hdrgm:Version="1.0" hdrgm:GainMapMax="2"'
    )
    first = with_metadata(more='hdrgm:Version="1.0"')
    place = len(first) - len(encoded()) + 2  # behind the other metadata
    length = len(first) + len(_mpf(0, 0, 0))
    mpf = _mpf(length, len(gain), length - (place + 8))
    return first[:place] + mpf + first[place:] + gain


def _mpf(first: int, second: int, offset: int) -> bytes:
    """Write the index of two images: their lengths, and where the second begins."""
    entries = struct.pack(">IIIHH", 0x030000, first, 0, 0, 0)
    entries += struct.pack(">IIIHH", 0, second, offset, 0, 0)
    directory = struct.pack(">H", 3)
    directory += struct.pack(">HHI4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(">HHII", 0xB001, 4, 1, 2)
    directory += struct.pack(">HHII", 0xB002, 7, len(entries), 8 + 2 + 3 * 12 + 4)
    return segment(0xE2, b"MPF\0MM\0*" + struct.pack(">I", 8) + directory + bytes(4) + entries)
