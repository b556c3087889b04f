"""Which chunks of a PNG are passed on, changed, dropped, and refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imaging.stripping import png
from app.imaging.stripping.base import MAX_STEPS, Stripper, Unstrippable
from testkit import samples
from testkit.orientations import SIX, tiff
from testkit.samples import chunk, png_header
from testkit.stripping import strip

PLAIN = samples.png()
ANIMATED = samples.of_every_kind()["animated.png"][0]
IEND = chunk(b"IEND", b"")
METADATA = st.builds(
    chunk,
    st.sampled_from([b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX", b"iDOT", b"sPLT", b"orNT"]),
    st.binary(max_size=40),
)


def with_chunks(*chunks: bytes) -> bytes:
    return PLAIN[:33] + b"".join(chunks) + PLAIN[33:]


def places_between_chunks(content: bytes) -> list[int]:
    places = [33]
    while content[places[-1] + 4 :][:4] != b"IEND":
        places.append(places[-1] + 12 + int.from_bytes(content[places[-1] :][:4]))
    return places


@given(st.lists(st.tuples(st.sampled_from(places_between_chunks(ANIMATED)), METADATA), max_size=9))
def test_metadata_anywhere_leave_the_stripped_file_as_it_is_without(
    inserted: list[tuple[int, bytes]],
) -> None:
    content = ANIMATED
    for place, data in sorted(inserted, reverse=True):
        content = content[:place] + data + content[place:]
    assert strip(content) == ANIMATED


def test_what_a_decoder_needs_passes_as_it_is() -> None:
    sizes = {
        "gAMA": 4,
        "cHRM": 32,
        "sRGB": 1,
        "iCCP": 3000,
        "cICP": 4,
        "mDCV": 24,
        "cLLI": 8,
        "sBIT": 3,
        "PLTE": 768,
        "tRNS": 6,
        "bKGD": 6,
        "hIST": 512,
        "pHYs": 9,
        "acTL": 8,
        "fcTL": 26,
        "fdAT": 70_000,
    }
    content = with_chunks(*(chunk(kind.encode(), b"\1" * size) for kind, size in sizes.items()))
    assert strip(content) == content


def test_a_wrong_checksum_is_kept_for_the_decoder_to_find() -> None:
    damaged = PLAIN.replace(IEND, b"\0\0\0\0IEND" + bytes(4))
    assert strip(damaged) == damaged


def test_exif_is_replaced_where_it_stood() -> None:
    before, after = chunk(b"gAMA", bytes(4)), chunk(b"pHYs", bytes(9))
    exif = chunk(b"eXIf", tiff((0x010F, 3, 1, 1), SIX, order="<", gap=100_000))
    assert strip(with_chunks(before, exif, after)) == with_chunks(
        before, chunk(b"eXIf", tiff(SIX)), after
    )


def test_everything_behind_the_end_is_dropped() -> None:
    stripper = Stripper(png.strip)
    assert stripper.feed(PLAIN + PLAIN[:5]) == PLAIN
    assert stripper.feed(PLAIN) == b""
    assert stripper.finish() == b""


REFUSED = {
    "another file": b"\xff\xd8\xff\xe0" + bytes(100),
    "another chunk first, as iPhones have it": PLAIN[:8] + chunk(b"CgBI", bytes(4)) + PLAIN[8:],
    "a header of another size": PLAIN[:8] + chunk(b"IHDR", bytes(14)) + PLAIN[33:],
    "a chunk that is critical and unknown": with_chunks(chunk(b"SEcR", b"SECRET")),
    "a second header": with_chunks(PLAIN[8:33]),
    "a palette longer than any": with_chunks(chunk(b"PLTE", bytes(771))),
    "something in the end": with_chunks(chunk(b"IEND", b"SECRET")),
    "a length that none can have": with_chunks(b"\x80\0\0\0tEXt", bytes(100)),
    "a name that none can have": with_chunks(chunk(b"t\0xt", b"SECRET")),
    "no pixels": png_header(1, 1) + IEND,
    "nothing behind the header": png_header(1, 1),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_followed_is_refused(case: str) -> None:
    stripper = Stripper(png.strip)
    with pytest.raises(Unstrippable, match=r"^It .*\.$"):
        stripper.feed(REFUSED[case])
        stripper.finish()


def test_many_parts_are_refused_and_large_ones_are_not_many() -> None:
    with pytest.raises(Unstrippable, match="too many parts"):
        strip(with_chunks(chunk(b"aaAa", b"") * MAX_STEPS))
    large = with_chunks(chunk(b"aaAa", bytes(1000)) * MAX_STEPS)
    assert len(strip(large)) == len(PLAIN)


def test_memory_is_bounded() -> None:
    exif = chunk(b"eXIf", tiff(count=65_535) + bytes(100_000))
    content = with_chunks(exif, chunk(b"tEXt", bytes(100_000)), chunk(b"iCCP", bytes(100_000)))
    stripper = Stripper(png.strip)
    for byte in content:
        stripper.feed(bytes((byte,)))
        assert len(stripper._taken) <= 12 * 275
        assert not stripper._kept
