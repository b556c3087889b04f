"""Whether a file ends before its image does, of every kind of image, cut anywhere."""

import pytest

from app.imaging.formats import ImageType, detect
from app.imaging.inspection import Inspection
from app.imaging.truncation import TAIL
from app.imaging.walker import MAX_STEPS
from testkit import samples
from testkit.forms import split
from testkit.samples import chunk, jpeg_with, png_header, png_with, segment

KINDS = samples.of_every_kind()
IEND = chunk(b"IEND", b"")


def truncated(content: bytes, piece: int = 64 * 1024, *, everywhere: bool = True) -> bool | None:
    image_type = detect(content)
    assert image_type
    inspection = Inspection(image_type, everywhere=everywhere)
    for data in split(content, piece):
        inspection.feed(data)
    return inspection.truncated


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_image_of_every_kind_is_not_called_truncated(name: str) -> None:
    assert truncated(KINDS[name][0]) is False


@pytest.mark.parametrize("name", KINDS)
def test_an_image_of_every_kind_that_lacks_its_last_byte_is_truncated(name: str) -> None:
    assert truncated(KINDS[name][0][:-1]) is True


@pytest.mark.parametrize("content", [samples.jpeg(), samples.png()], ids=["JPEG", "PNG"])
def test_an_image_is_truncated_wherever_it_is_cut(content: bytes) -> None:
    assert {truncated(content[:end]) for end in range(8, len(content))} == {True}


@pytest.mark.parametrize("content", [samples.jpeg(), samples.png()], ids=["JPEG", "PNG"])
@pytest.mark.parametrize("piece", [1, 2, 3, 11, 12, 13, 1000])
def test_pieces_of_any_size_give_the_same_result(content: bytes, piece: int) -> None:
    assert truncated(content, piece) is False
    assert truncated(content[:-1], piece) is True


@pytest.mark.parametrize("after", [b"\0", bytes(100_000), samples.jpeg()[:-2], b"\xff" * 99])
def test_what_follows_the_end_does_not_matter(after: bytes) -> None:
    assert truncated(samples.jpeg() + after) is False
    assert truncated(samples.png() + after) is False


def test_the_end_of_a_thumbnail_is_not_that_of_the_image() -> None:
    content = KINDS["thumbnail.jpg"][0]
    cut = content[: content.index(b"\xff\xd9") + 10]
    assert truncated(cut) is True
    embedded = png_with(chunk(b"prVw", samples.png()))
    assert truncated(embedded) is False
    assert truncated(embedded[: -len(IEND)]) is True


def test_padding_instead_of_the_rest_is_truncated() -> None:
    """As downloads end that reserve the file's size and then break off."""
    for content in (samples.jpeg(), samples.png()):
        half = len(content) // 2
        assert truncated(content[:half] + bytes(len(content) - half)) is True


@pytest.mark.parametrize("content", [samples.jpeg(300, 300), samples.png(300, 300)])
@pytest.mark.parametrize("piece", [999, 64 * 1024])
def test_the_tail_alone_proves_a_whole_image_and_leaves_others_unknown(
    content: bytes, piece: int
) -> None:
    assert truncated(content, piece, everywhere=False) is False
    assert truncated(content + bytes(100), piece, everywhere=False) is False
    assert truncated(content + bytes(TAIL), piece, everywhere=False) is None
    assert truncated(content[:-1], piece, everywhere=False) is None
    assert truncated(content[: len(content) // 10], piece, everywhere=False) in {True, None}


UNKNOWN = {
    "a JPEG that ends at once": b"\xff\xd8\xff\xd9 and nothing else",
    "a JPEG that starts again": b"\xff\xd8\xff\xd8",
    "a JPEG with a segment of no length": b"\xff\xd8\xff\xe0\0\1" + samples.jpeg(),
    "a JPEG with too many segments": jpeg_with(segment(0xFE, b"") * MAX_STEPS),
    "a PNG without pixels": png_header(1, 1) + IEND,
    "a PNG with a chunk of no name": png_with(bytes(12)),
    "a PNG with too many chunks": png_with(chunk(b"aaAa", b"") * MAX_STEPS),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_order_of_parts_is_unknown(case: str) -> None:
    assert truncated(UNKNOWN[case]) is None


def test_memory_is_bounded() -> None:
    for content in (jpeg_with(segment(0xE2, bytes(65_533)) * 40), png_with()):
        image_type = detect(content)
        assert image_type
        inspection = Inspection(image_type, everywhere=True)
        for data in split(content + bytes(1_000_000), 10_000):
            inspection.feed(data)
            assert len(inspection._walker._buffer) < 20
            assert len(inspection._end._tail) <= TAIL


@pytest.mark.parametrize("image_type", ImageType)
def test_arbitrary_bytes_never_fail(image_type: ImageType) -> None:
    for content in (b"", b"\xff" * 100_000, bytes(100_000), b"\xff\xd8" * 50_000):
        inspection = Inspection(image_type, everywhere=True)
        for data in split(content, 999):
            inspection.feed(data)
        assert inspection.truncated is not False
