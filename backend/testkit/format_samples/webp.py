"""WebP, with loss and without, animated too."""

import struct
from collections.abc import Iterator
from typing import Final

from app.imaging.formats import ImageType
from testkit import samples
from testkit.format_samples import picture, private, profile
from testkit.format_samples.sample import Sample

_WEBP: Final = ImageType.WEBP


def all_samples() -> Iterator[Sample]:
    """Make all WebPs."""
    plain = encoded()
    yield Sample(_WEBP, "plain", plain)
    yield Sample(_WEBP, "plain", encoded(lossless=True), "lossless")
    for number in range(1, 9):
        content = encoded(exif=samples.exif(number))  # which viewers ignore
        yield Sample(_WEBP, "orientation", content, str(number))
    options = {"icc_profile": profile.exchanging(), "quality": 90}
    yield Sample(_WEBP, "colour profile", picture.save(profile.stored(), "WEBP", **options))
    transparent = picture.with_alpha()
    yield Sample(_WEBP, "alpha", picture.save(transparent, "WEBP", quality=90))
    yield Sample(_WEBP, "alpha", picture.save(transparent, "WEBP", lossless=True), "lossless")
    yield Sample(_WEBP, "animation", animated())
    yield Sample(_WEBP, "truncated", plain[: len(plain) * 7 // 10])
    yield Sample(_WEBP, "wrong extension", plain, extension=".jpg")
    yield Sample(_WEBP, "appended data", plain + private.SECRET)
    yield Sample(_WEBP, "metadata", with_metadata())
    yield Sample(_WEBP, "metadata", with_metadata(unknown=True), "and an unknown chunk")


def encoded(**options: object) -> bytes:
    """Encode the picture, without anything else."""
    return picture.save(picture.upright(), "WEBP", quality=90, **options)


def animated(**options: object) -> bytes:
    """Make an animation that repeats for ever."""
    first, others = picture.frames()
    options = {"save_all": True, "append_images": others, "duration": 100, **options}
    return picture.save(first, "WEBP", quality=90, **options)


def with_metadata(*, unknown: bool = False) -> bytes:
    """Make one with Exif and XMP."""
    content = encoded(exif=private.exif(), xmp=private.xmp())
    if not unknown:
        return content
    return riff(content[12:] + chunk(b"SECR", private.SECRET))


def riff(chunks: bytes) -> bytes:
    """Write a file of chunks (RFC 9649, section 2.4)."""
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def chunk(name: bytes, data: bytes) -> bytes:
    """Write a chunk (section 2.3)."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
