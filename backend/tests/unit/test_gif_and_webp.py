"""GIF and WebP: how large they are shown, and where they end."""

import asyncio
import struct
from io import BytesIO
from typing import Any

import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image

from app.imaging.formats import ImageType, detect
from app.imaging.inspection import Facts, Inspection
from app.imaging.walker import MAX_STEPS, MAX_SUB_BLOCKS
from testkit import samples
from testkit.format_samples import gif, picture, webp
from testkit.forms import split
from testkit.unusual_headers import gifs

GIF, WEBP = ImageType.GIF, ImageType.WEBP


def look(content: bytes, piece: int = 1 << 20) -> Facts:
    image_type = detect(content)
    assert image_type
    inspection = Inspection(image_type)
    for data in split(content, piece):
        inspection.feed(data)
    assert inspection.is_image
    return asyncio.run(inspection.facts())


def by_pillow(content: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(content)) as image:
        return image.size


def by_libvips(content: bytes) -> tuple[int, int]:
    image = pyvips.Image.new_from_buffer(content, "")
    return image.width, image.height


SIDES = [(1, 1), (2, 3), (255, 256), (257, 1), (1000, 3)]
ENCODED: dict[str, tuple[str, dict[str, Any]]] = {
    "GIF": ("GIF", {}),
    "GIF, interlaced": ("GIF", {"interlace": 1}),
    "WebP": ("WEBP", {}),
    "WebP, lossless": ("WEBP", {"lossless": True}),
    "WebP with Exif": ("WEBP", {"exif": samples.exif(1)}),
    "WebP, lossless, with a profile": ("WEBP", {"lossless": True, "icc_profile": bytes(999)}),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("size", SIDES)
def test_sizes_are_those_that_pillow_and_libvips_read(name: str, size: tuple[int, int]) -> None:
    kind, options = ENCODED[name]
    content = picture.save(picture.upright().resize(size), kind, **options)
    assert look(content) == (*size, False)
    assert by_pillow(content) == by_libvips(content) == size


WHOLE = {
    "GIF": picture.save(picture.upright(), "GIF"),
    "GIF, animated": gif.animated(),
    "GIF with metadata": gif.with_metadata(gif.animated()),
    "WebP": webp.encoded(),
    "WebP, lossless": webp.encoded(lossless=True),
    "WebP, animated": webp.animated(),
    "WebP with metadata": webp.with_metadata(unknown=True),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("piece", [1, 2, 7, 255, 256, 1000])
def test_pieces_of_any_size_give_the_same_result(name: str, piece: int) -> None:
    content = WHOLE[name]
    assert look(content, piece) == (*picture.SIZE, False)
    assert look(content[:-1], piece) == (*picture.SIZE, True)


@pytest.mark.parametrize("name", WHOLE)
def test_an_image_is_truncated_wherever_it_is_cut(name: str) -> None:
    content = WHOLE[name]
    for end in range(12, len(content), 7):
        assert look(content[:end]).truncated is True, end


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("after", [b"\0", bytes(100_000), b"RIFF", b"GIF89a", b";"])
def test_what_follows_the_end_does_not_matter(name: str, after: bytes) -> None:
    assert look(WHOLE[name] + after) == (*picture.SIZE, False)


def test_a_cut_gif_that_ends_as_a_whole_one_does_is_truncated() -> None:
    content = WHOLE["GIF"]
    assert look(content[:-500] + b"\0;").truncated is True


SCREENS = gifs()


@pytest.mark.parametrize("case", SCREENS)
def test_a_gif_is_shown_with_its_screen_and_its_first_image(case: str) -> None:
    """As by Chromium, which `e2e/test_orientation.py` asks."""
    content = SCREENS[case]
    assert look(content)[:2] == by_pillow(content) == by_libvips(content)


SCREEN = b"GIF89a" + struct.pack("<HHBBB", 4, 3, 0x80, 0, 0) + bytes(6)
FRAME = b"," + struct.pack("<HHHHB", 0, 0, 4, 3, 0) + b"\x02"
UNKNOWN = {
    "a GIF with a block of no kind": SCREEN + FRAME + b"\1x\0" + b"\0;",
    "a GIF with too many frames": SCREEN + (FRAME + b"\1x\0") * MAX_STEPS + b";",
    "a GIF with too many comments": SCREEN + FRAME + b"\0" + b"!\xfe\0" * MAX_STEPS + b";",
    "a GIF with too many sub-blocks": SCREEN + FRAME + b"\1x" * MAX_SUB_BLOCKS + b"\0;",
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_order_of_parts_is_unknown(case: str) -> None:
    assert look(UNKNOWN[case]) == (4, 3, None)


NO_SIZE = {
    "a GIF without an image": SCREEN + b";",
    "a GIF of zeros": SCREEN + bytes(100),
    "an image without width": SCREEN[:6] + bytes(4) + SCREEN[10:] + b"," + bytes(11) + b";",
    "a WebP of an unknown chunk": b"RIFF\x20\0\0\0WEBPABCD" + bytes(40),
    "a WebP without its start code": webp.encoded().replace(b"\x9d\x01\x2a", b"\0\0\0", 1),
    "a WebP without its signature": b"RIFF\x20\0\0\0WEBPVP8L\x08\0\0\0" + bytes(40),
    "a WebP whose first chunk is cut": webp.encoded()[:25],
    "a WebP without width": b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a\0\xc0\1\0",
}


@pytest.mark.parametrize("case", NO_SIZE)
def test_a_header_without_a_size_measures_none(case: str) -> None:
    assert look(NO_SIZE[case])[:2] == (None, None)


def test_a_webp_shorter_than_its_first_chunk_is_of_an_unknown_order() -> None:
    content = webp.encoded()
    assert look(content[:4] + b"\x08\0\0\0" + content[8:]).truncated is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_does_not_turn_a_webp(orientation: int) -> None:
    """As in Chromium, which `e2e/test_orientation.py` asks."""
    assert look(webp.encoded(exif=samples.exif(orientation))) == (*picture.SIZE, False)
