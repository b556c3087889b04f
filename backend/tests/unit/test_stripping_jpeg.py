"""Which segments of a JPEG are passed on, changed, dropped, and refused."""

import re
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.imaging.stripping import jpeg
from app.imaging.stripping.base import MAX_STEPS, Stripper, Unstrippable
from testkit import samples
from testkit.orientations import EXIF, PROGRESSIVE, SIX, SOS, tiff
from testkit.samples import segment
from testkit.stripping import strip

FRAME, END = b"\xff\xc0", b"\xff\xd9"
PLAIN = samples.jpeg()
DATA = st.binary(max_size=40)
METADATA = st.one_of(
    st.builds(segment, st.sampled_from([*range(0xE3, 0xEE), 0xEF, 0xFE]), DATA),
    st.builds(lambda data: segment(0xE2, b"MPF\0" + data), DATA),
    st.builds(lambda data: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + data), DATA),
    st.builds(lambda data: data.replace(b"\xff", b""), DATA),
    st.binary(max_size=20).map(lambda data: re.sub(rb"[^\xd0-\xd7\0]", b"", data)),
    st.just(b"\xff\xff"),
)
"""What may stand between any two segments."""


SCAN_CODES = {0, *range(0xD0, 0xD8)}


def with_parts(*parts: bytes) -> bytes:
    return PLAIN[:2] + b"".join(parts) + PLAIN[2:]


def places_between_segments(content: bytes) -> list[int]:
    places, place = [], 2
    while content[place : place + 2] != END:
        places.append(place)
        is_scan = content[place : place + 2] == SOS
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
        while is_scan and not (content[place] == 0xFF and content[place + 1] not in SCAN_CODES):
            place += 1
    return places[1:]


PLACES = places_between_segments(PROGRESSIVE)


@given(st.lists(st.tuples(st.sampled_from(PLACES), METADATA), max_size=12))
def test_metadata_anywhere_leave_the_stripped_file_as_it_is_without(
    inserted: list[tuple[int, bytes]],
) -> None:
    content = PROGRESSIVE
    for place, data in sorted(inserted, reverse=True):
        # A segment first: what follows a scan without one belongs to it.
        content = content[:place] + segment(0xFE, b"") + data + content[place:]
    assert strip(content) == PROGRESSIVE


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PROGRESSIVE,
        samples.jpeg(restart_marker_rows=1),
        samples.jpeg(icc_profile=bytes(200_000)),
        samples.of_every_kind()["cmyk.jpg"][0],  # which has Adobe's segment
        *(PLAIN.replace(FRAME, bytes((0xFF, code)), 1) for code in (0xC1, 0xC3, 0xC9)),
        with_parts(segment(0xCC, b"\0\x10"), segment(0xDD, b"\0\0")),
        PLAIN[:-2] + segment(0xDC, b"\0\x30") + END,
    ],
    ids=str.split("plain progressive restarts profile Adobe SOF1 SOF3 SOF9 arithmetic DNL"),
)
def test_what_a_decoder_needs_passes_as_it_is(content: bytes) -> None:
    assert strip(content) == content


def test_a_thumbnail_in_jfif_is_removed_and_the_density_stays() -> None:
    plain = samples.jpeg(dpi=(300, 200))
    assert plain[2:4] == b"\xff\xe0"
    thumbnail = bytes(range(4 * 3 * 3))
    content = plain[:2] + segment(0xE0, plain[6:18] + b"\4\3" + thumbnail) + plain[20:]
    assert strip(content) == plain
    with Image.open(BytesIO(strip(content))) as image:
        assert image.info["dpi"] == (300, 200)


@pytest.mark.parametrize("place", [PROGRESSIVE.index(b"\xff\xdb"), PROGRESSIVE.index(SOS)])
def test_exif_is_replaced_where_it_stood(place: int) -> None:
    exif = EXIF + tiff((0x010F, 3, 1, 1), SIX, order="<", gap=60)
    content = PROGRESSIVE[:place] + segment(0xE1, exif) + PROGRESSIVE[place:]
    minimal = segment(0xE1, EXIF + tiff(SIX))
    assert strip(content) == PROGRESSIVE[:place] + minimal + PROGRESSIVE[place:]


def test_everything_behind_the_end_is_dropped() -> None:
    stripper = Stripper(jpeg.strip)
    assert stripper.feed(PROGRESSIVE + b"\xff\xd8") == PROGRESSIVE
    assert stripper.feed(PROGRESSIVE) == b""
    assert stripper.finish() == b""


REFUSED = {
    "another file": b"GIF89a" + bytes(100),
    "a segment shorter than its length": with_parts(b"\xff\xe1\0\1" + bytes(100)),
    "pixels without a frame": b"\xff\xd8" + PLAIN[PLAIN.index(SOS) :],
    "no pixels": samples.jpeg_header(1, 1) + END,
    "nothing behind the header": samples.jpeg_header(1, 1),
    "a new start": b"\xff\xd8" + PLAIN,
    "a new start behind the pixels": PLAIN[:-2] + PLAIN,
    "a text in place of the number of lines": with_parts(segment(0xDC, b"SECRET")),
    "a text behind the restart interval": with_parts(segment(0xDD, b"\0\0SECRET")),
    "a reserved marker": with_parts(segment(0x10, b"SECRET")),
    "an extension of JPEG": with_parts(segment(0xF7, b"SECRET")),
    "frames that build on one another": with_parts(segment(0xDE, b"SECRET")),
    "a scan's header with more in it": PLAIN.replace(SOS + b"\0\x0c", SOS + b"\0\x3f"),
    "a frame's header with more in it": with_parts(segment(0xC0, bytes(15) + b"SECRET" * 9)),
    "a table with more in it": with_parts(segment(0xDB, bytes(65) + b"SECRET" * 99)),
    "an unknown marker in the pixels": PLAIN[:-9] + b"\xff\1" + bytes(7) + END,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused(case: str) -> None:
    stripper = Stripper(jpeg.strip)
    with pytest.raises(Unstrippable, match=r"^Its? .*\.$"):
        stripper.feed(REFUSED[case])
        stripper.finish()


def test_many_parts_are_refused_and_large_ones_are_not_many() -> None:
    with pytest.raises(Unstrippable, match="too many parts"):
        strip(with_parts(segment(0xFE, b"") * MAX_STEPS))
    large = with_parts(segment(0xFE, bytes(1000)) * MAX_STEPS)
    assert len(strip(large)) == len(PLAIN)


def test_memory_is_bounded() -> None:
    exif = segment(0xE1, EXIF + tiff(count=65_535) + bytes(60_000))
    content = with_parts(*[segment(0xE0 + n, bytes(65_000)) for n in range(16)], exif)
    stripper = Stripper(jpeg.strip)
    for byte in content:
        stripper.feed(bytes((byte,)))
        assert len(stripper._taken) <= 12 * 275
        assert not stripper._kept
