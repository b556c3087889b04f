"""GIF, which is never turned and has 256 colours."""

from collections.abc import Iterator
from typing import Final

from app.imaging.formats import ImageType
from app.imaging.gif import palette_bytes
from testkit.format_samples import picture, private
from testkit.format_samples.sample import Sample

_GIF: Final = ImageType.GIF
_TRAILER: Final = b";"
_MAGIC_TRAILER: Final = b"\1" + bytes(range(255, -1, -1)) + b"\0"
"""Behind XMP, which is not in sub-blocks, so that readers find an end (XMP part 3, 1.1.2)."""


def all_samples() -> Iterator[Sample]:
    """Make all GIFs."""
    plain = picture.save(picture.upright(), "GIF")
    yield Sample(_GIF, "plain", plain)
    in_order = picture.save(picture.upright(), "GIF", interlace=0)
    yield Sample(_GIF, "plain", in_order, "not interlaced")
    yield Sample(_GIF, "alpha", picture.save(picture.with_alpha(), "GIF"))
    yield Sample(_GIF, "animation", animated())
    yield Sample(_GIF, "truncated", in_order[: len(in_order) * 7 // 10])
    yield Sample(_GIF, "wrong extension", plain, extension=".jpg")
    yield Sample(_GIF, "appended data", plain + private.SECRET)
    yield Sample(_GIF, "metadata", with_metadata(animated()))


def animated() -> bytes:
    """Make an animation that repeats for ever."""
    first, others = picture.frames()
    options = {"duration": [100, 200, 300], "loop": 0}
    return picture.save(first, "GIF", save_all=True, append_images=others, **options)


def with_metadata(content: bytes) -> bytes:
    """Add comments and XMP before the first frame of a GIF, and a comment before its end."""
    begin = first_block(content)
    xmp = b"!\xff\x0bXMP DataXMP" + private.xmp() + _MAGIC_TRAILER
    comment = b"!\xfe" + bytes((len(private.SECRET),)) + private.SECRET + b"\0"
    pixels = content[begin:].removesuffix(_TRAILER)
    return content[:begin] + comment + xmp + pixels + comment + _TRAILER


def first_block(content: bytes) -> int:
    """Return where the blocks of a GIF begin: behind its screen and colour table."""
    return 13 + palette_bytes(content[10])
