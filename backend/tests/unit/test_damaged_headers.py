"""Damaged GIF, WebP, AVIF and HEIC files: never an error, and the same however they are cut."""

from hypothesis import given
from hypothesis import strategies as st

from app.imaging.dimensions import MAX_SIDE
from app.imaging.formats import ImageType
from app.imaging.inspection import Facts, Inspection
from app.imaging.items import MAX_TABLE_BYTES
from testkit.format_samples import all_samples

NEW = [ImageType.GIF, ImageType.WEBP, ImageType.AVIF, ImageType.HEIC]
SAMPLES = [sample for sample in all_samples().values() if sample.image_type in NEW]
WORDS = [
    *(b"meta", b"iinf", b"infe", b"iloc", b"ipma", b"ipco", b"mdat", b"pitm", b"hdlr"),
    *(b"VP8X", b"VP8L", b"VP8 ", b"EXIF", b",", b"!", b";", b"\0", b"\0\0\0\0", b"\0\0\0\1"),
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[ImageType, bytes]:
    """A file with some bytes of its header changed, removed, or put in."""
    sample = draw(st.sampled_from(SAMPLES))
    content = bytearray(sample.content)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(4, min(len(content), 1500)))
        new = draw(st.binary(max_size=12) | st.sampled_from(WORDS))
        content[at : at + draw(st.integers(0, 12))] = new
    return sample.image_type, bytes(content[: draw(st.integers(8, len(content)))])


def look(image_type: ImageType, content: bytes, sizes: list[int]) -> tuple[bool, Facts]:
    """Inspect what comes in pieces of these sizes, over and over; check what is kept."""
    inspection = Inspection(image_type)
    position = 0
    while position < len(content):
        for size in sizes:
            inspection.feed(content[position : position + size])
            position += size
            assert len(inspection._walker._buffer) <= MAX_TABLE_BYTES
    facts = inspection.facts()
    return inspection.is_image, facts


@given(damaged(), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_the_result_does_not_depend_on_the_pieces(
    file: tuple[ImageType, bytes], sizes: list[int]
) -> None:
    image_type, content = file
    is_image, facts = look(image_type, content, sizes)
    assert look(image_type, content, [len(content)]) == (is_image, facts)
    if facts.width and facts.height:
        assert is_image
        assert max(facts.width, facts.height) <= MAX_SIDE


@given(st.sampled_from(NEW), st.binary(max_size=3000), st.lists(st.integers(1, 999), min_size=1))
def test_arbitrary_bytes_never_raise(
    image_type: ImageType, content: bytes, sizes: list[int]
) -> None:
    assert look(image_type, content, sizes) == look(image_type, content, [3000])
