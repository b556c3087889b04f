"""Width and height from headers: of every kind of image, and of anything else."""

import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imaging.dimensions import MAX_SIDE, configure_pillow
from app.imaging.formats import ImageType
from app.imaging.header import MAX_ENTRIES
from app.imaging.inspection import Inspection
from app.imaging.jpeg import FRAME_BYTES
from app.imaging.walker import MAX_STEPS
from testkit import samples
from testkit.bombs import BOMBS, measure
from testkit.forms import split
from testkit.orientations import EXIF, ORIENTATION, SHORT, TURNED, UPRIGHT, tiff
from testkit.samples import chunk, exif, jpeg_header, jpeg_with, png_header, png_with, segment

KINDS = samples.of_every_kind()
PNG_END = chunk(b"IDAT", b"") + chunk(b"IEND", b"")
MEMORY = 4 * 1024 * 1024
"""Bytes that any input may make Python allocate, at most; a header costs a hundredth of it."""


@pytest.fixture(autouse=True)
def _configured() -> None:
    configure_pillow()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_an_image_of_every_kind_has_the_size_that_viewers_show(name: str, piece: int) -> None:
    assert measure(KINDS[name][0], piece) == samples.shown(name)


@pytest.mark.parametrize("name", KINDS)
def test_an_image_cut_anywhere_has_its_size_or_none(name: str) -> None:
    image, content_type = KINDS[name]
    found = []
    for end in [*range(8, min(len(image), 3000), 7), len(image)]:
        inspection = Inspection(ImageType(content_type))
        inspection.feed(image[:end])
        found.append(inspection.dimensions())
    assert found[0] is None
    assert found[-1] == samples.shown(name)
    assert set(found) == {None, samples.shown(name)}


LARGEST = {
    "the largest JPEG": (jpeg_header(65_535, 65_535), (65_535, 65_535)),
    "a PNG with as many pixels": (png_header(65_536, 65_536) + PNG_END, (65_536, 65_536)),
    "the longest PNG": (png_header(MAX_SIDE, 1) + PNG_END, (MAX_SIDE, 1)),
    "a JPEG of one pixel": (jpeg_header(1, 1), (1, 1)),
}


@pytest.mark.parametrize("case", LARGEST)
def test_the_largest_and_the_smallest_sizes_are_measured(case: str) -> None:
    header, size = LARGEST[case]
    assert measure(header) == size


NO_PICTURE = {
    "50 gigapixels": png_header(223_607, 223_607) + PNG_END,
    "more pixels than any image": png_header(MAX_SIDE, MAX_SIDE) + PNG_END,
    "a side that no PNG may have": png_header(MAX_SIDE + 1, 1) + PNG_END,
    "a PNG without width": png_header(0, 1) + PNG_END,
    "a PNG without height": png_header(1, 0) + PNG_END,
    "a PNG with a wrong checksum": png_header(1, 1)[:-1] + b"\0" + PNG_END,
    "a PNG of an unknown colour type": b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 5, 0, 0, 0))
    + PNG_END,
    "a PNG without pixels": png_header(1, 1) + chunk(b"IEND", b""),
    "a PNG whose header comes second": png_header(1, 1)[:8] + chunk(b"tEXt", b"a\0b"),
    "a PNG with a chunk of no name": png_with(bytes(12)),
    "a PNG with a chunk longer than the file": png_with(b"\x7f\xff\xff\xffaaAa"),
    "a PNG with too many chunks": png_with(chunk(b"aaAa", b"") * MAX_STEPS),
    "a JPEG without width": jpeg_header(0, 1),
    "a JPEG whose height comes later": jpeg_header(1, 0),
    "a JPEG of 12 bits": jpeg_header(1, 1, bits=12),
    "a JPEG without a frame": b"\xff\xd8" + segment(0xDA, bytes(6)) + jpeg_header(1, 1)[2:],
    "a JPEG that ends at once": b"\xff\xd8\xff\xd9" + jpeg_header(1, 1)[2:],
    "a JPEG that starts again": b"\xff\xd8" + jpeg_header(1, 1),
    "a JPEG with a segment of no length": b"\xff\xd8\xff\xe0\0\1" + jpeg_header(1, 1)[2:],
    "a JPEG whose frame is cut": b"\xff\xd8" + segment(0xC0, b"\x08\0\1"),
    "a JPEG whose frame is too long": b"\xff\xd8"
    + segment(0xC0, jpeg_header(1, 1)[6:] + bytes(FRAME_BYTES + 2 - 9)),
    "a JPEG with too many segments": jpeg_with(segment(0xFE, b"") * MAX_STEPS),
    "a JPEG with junk without end": jpeg_with(segment(0xFE, b"") + bytes(MAX_STEPS)),
    "nothing but its start": b"\xff\xd8\xff\xe0",
    "zeros": b"\xff\xd8\xff\xe0" + bytes(100_000),
    "marker bytes": b"\xff\xd8" + b"\xff" * 100_000,
}


@pytest.mark.parametrize("case", NO_PICTURE)
def test_a_header_without_a_size_measures_none(case: str) -> None:
    assert measure(NO_PICTURE[case]) is None


@pytest.mark.parametrize("case", BOMBS)
def test_a_bomb_is_not_decompressed_and_has_the_size_of_its_header(case: str) -> None:
    measure(KINDS["baseline.jpg"][0])  # Pillow loads its parsers
    tracemalloc.start()
    try:
        size = measure(BOMBS[case], 65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == ((60_000, 60_000) if case == "pixels" else (64, 48))
    assert peak < MEMORY


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of a process")
def test_bombs_do_not_grow_the_memory_of_the_process() -> None:
    """What tracemalloc does not see, such as what zlib takes for itself, RSS shows."""
    code = (
        "import re, pathlib; from testkit import bombs, samples\n"
        "from app.imaging.dimensions import configure_pillow; configure_pillow()\n"
        "status = pathlib.Path('/proc/self/status')\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1])\n"
        "bombs.measure(samples.of_every_kind()['baseline.jpg'][0])\n"
        "before = peak()\n"
        "for bomb in bombs.BOMBS.values(): bombs.measure(bomb, 65_536)\n"
        "print((peak() - before) * 1024)\n"
    )
    found = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert int(found.stdout) < MEMORY
    assert found.stderr == ""


@pytest.mark.parametrize("case", TURNED | UPRIGHT)
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_the_orientation_is_found_anywhere_in_the_exif(case: str, piece: int) -> None:
    """What a browser shows of these is asked in `e2e/test_orientation.py`."""
    size = measure((TURNED | UPRIGHT)[case], piece)
    assert size == ((48, 64) if case in TURNED else (64, 48))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_found_far_into_the_exif(orientation: int, order: str) -> None:
    entry = (ORIENTATION, SHORT, 1, orientation)
    image = jpeg_with(segment(0xE1, EXIF + tiff(entry, order=order, gap=40_000)))
    assert measure(image) == ((48, 64) if orientation > 4 else (64, 48))


def test_damaged_exif_does_not_turn_an_image() -> None:
    whole = exif(6)
    for end in range(6, len(whole)):
        image = jpeg_with(segment(0xE1, whole[:end]))
        assert measure(image) in {(64, 48), (48, 64)}
    for orientation in (0, 9, 255, 65_535):
        assert measure(jpeg_with(segment(0xE1, exif(orientation)))) == (64, 48)


def test_only_the_first_exif_counts() -> None:
    two = segment(0xE1, exif(1)) + segment(0xE1, exif(6))
    assert measure(jpeg_with(two)) == (64, 48)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """An image with some bytes of its header changed, removed, or put in."""
    image = bytearray(KINDS[draw(st.sampled_from(sorted(KINDS)))][0][:6000])
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(4, min(len(image), 1500)))
        new = draw(
            st.binary(max_size=12)
            | st.sampled_from(
                [b"\xff\xc0", b"\xff\xe1", b"Exif\0\0MM\0*", b"\xff\xff\xff\xff", b"eXIf", b"IHDR"]
            )
        )
        image[at : at + draw(st.integers(0, 12))] = new
    return bytes(image[: draw(st.integers(8, len(image)))])


def keeps(inspection: Inspection) -> int:
    return len(inspection._walker._buffer) + len(inspection._header.frame)


def measured(data: bytes, sizes: list[int]) -> tuple[int, int] | None:
    """Measure what comes in pieces of these sizes, over and over; check what it keeps."""
    inspection = Inspection(ImageType.PNG if data[:1] == b"\x89" else ImageType.JPEG)
    position = 0
    while position < len(data):
        for size in sizes:
            inspection.feed(data[position : position + size])
            position += size
            assert keeps(inspection) <= 12 * MAX_ENTRIES + FRAME_BYTES + 64
    return inspection.dimensions()


@given(damaged(), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_damage_never_raises_whatever_the_pieces(data: bytes, sizes: list[int]) -> None:
    size = measured(data, sizes)
    assert measured(data, [len(data)]) == size
    if size is not None:
        assert min(size) > 0
        assert max(size) <= MAX_SIDE


@given(st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=3000))
def test_arbitrary_bytes_never_raise(begin: bytes, data: bytes) -> None:
    measured(begin + data, [997])


@given(damaged())
def test_damage_never_takes_more_memory_than_the_bound(data: bytes) -> None:
    measured(data, [len(data)])
    tracemalloc.start()
    try:
        measured(data, [len(data)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


def test_only_what_is_needed_of_a_header_is_kept() -> None:
    inspection = Inspection(ImageType.JPEG)
    large = jpeg_with(segment(0xE2, bytes(65_533)) * 40)
    for piece in split(large, 10_000):
        inspection.feed(piece)
        assert keeps(inspection) < 100
    assert inspection.has_header
