"""GIF and WebP: how large they are shown, and where they end."""

import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
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
    return inspection.facts()


def by_pillow(content: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(content)) as image:
        return image.size


def by_libvips(folder: Path, contents: list[bytes]) -> list[tuple[int, int]]:
    """Ask another process: in this one, other tests block the loaders of libvips."""
    code = (
        "import sys, pyvips\n"
        "for path in sys.argv[1:]:\n"
        "    image = pyvips.Image.new_from_file(path)\n"
        "    print(image.width, image.height)\n"
    )
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    run = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True
    )
    found = [line.split() for line in run.stdout.splitlines()]
    return [(int(width), int(height)) for width, height in found]


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
def test_sizes_are_those_that_pillow_and_libvips_read(name: str, tmp_path: Path) -> None:
    kind, options = ENCODED[name]
    images = [picture.upright().resize(size) for size in SIDES]
    contents = [picture.save(image, kind, **options) for image in images]
    assert [look(content) for content in contents] == [(*size, False) for size in SIDES]
    assert [by_pillow(content) for content in contents] == SIDES
    assert by_libvips(tmp_path, contents) == SIDES


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


def test_a_gif_is_shown_with_its_screen_and_its_first_image(tmp_path: Path) -> None:
    """As by Chromium, which `e2e/test_orientation.py` asks."""
    screens = gifs()
    sizes = [look(content)[:2] for content in screens.values()]
    assert sizes == [by_pillow(content) for content in screens.values()]
    assert sizes == by_libvips(tmp_path, list(screens.values()))


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
