import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.imaging.formats import HEAD_BYTES, ImageType, detect
from testkit import samples

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", samples.of_every_kind())
def test_every_kind_of_image_is_recognised_by_its_head(name: str) -> None:
    image, content_type = samples.of_every_kind()[name]
    assert detect(image[:HEAD_BYTES]) == content_type


@pytest.mark.parametrize("length", range(len(PNG_SIGNATURE)))
def test_a_part_of_the_png_signature_is_rejected(length: int) -> None:
    assert detect(PNG_SIGNATURE[:length]) is None


@pytest.mark.parametrize("length", range(4))
def test_a_jpeg_start_without_its_first_marker_is_rejected(length: int) -> None:
    assert detect(b"\xff\xd8\xff\xe0"[:length]) is None


@pytest.mark.parametrize(
    "head",
    [
        b"GIF88a\x01\x00",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"BM\x46\0\0\0",
        b"RIFF\x00\x00\x00\x00",
        b"<svg xml",
        b"<!doctyp",
        b"%PDF-1.7",
        b"MZ\x90\x00",
    ],
)
def test_other_formats_are_rejected(head: bytes) -> None:
    assert detect(head) is None


def ftyp(major: bytes, *others: bytes, size: int | None = None) -> bytes:
    length = 16 + 4 * len(others) if size is None else size
    return length.to_bytes(4) + b"ftyp" + major + bytes(4) + b"".join(others)


BRANDS = {
    ftyp(b"heic", b"mif1", b"heic"): ImageType.HEIC,
    ftyp(b"heix"): ImageType.HEIC,
    ftyp(b"hevc", b"msf1"): ImageType.HEIC,
    ftyp(b"heic", b"avif"): ImageType.HEIC,
    ftyp(b"avif", b"mif1", b"miaf", b"MA1B"): ImageType.AVIF,
    ftyp(b"avis", b"msf1", b"iso8"): ImageType.AVIF,
    ftyp(b"mif1", b"mif1", b"miaf", b"avif"): ImageType.AVIF,
    ftyp(b"mif1", b"mif1", b"heic"): ImageType.HEIC,
    ftyp(b"msf1", b"hevc"): ImageType.HEIC,
    ftyp(b"mif1", *[b"abcd"] * 40, b"avif"): ImageType.AVIF,
    ftyp(b"mif1"): ImageType.HEIC,
    ftyp(b"mif1", b"mif1", b"avif", size=20): ImageType.HEIC,
    ftyp(b"isom", b"iso2", b"avc1", b"mp41"): None,
    ftyp(b"mp42", b"isom", b"hvc1"): None,
    ftyp(b"isom", b"av01"): None,
    ftyp(b"qt  "): None,
    ftyp(b"crx "): None,
    ftyp(b"avif")[:8]: None,
    ftyp(b"heic")[:11]: None,
}


@pytest.mark.parametrize("head", BRANDS, ids=repr)
def test_brands_decide_which_files_of_boxes_are_accepted(head: bytes) -> None:
    assert detect(head) == BRANDS[head]
    assert detect(head.ljust(HEAD_BYTES, b"\0")) == BRANDS[head]


@given(st.binary(max_size=64))
def test_the_head_alone_decides(data: bytes) -> None:
    assert detect(data) == detect(data[:HEAD_BYTES])


@given(st.integers(0, 100), st.sampled_from([b"mif1", b"heic", b"isom"]))
def test_brands_beyond_the_head_do_not_count(others: int, major: bytes) -> None:
    head = ftyp(major, *[b"abcd"] * others, b"avif")
    assert detect(head) == detect(head[:HEAD_BYTES])


@given(
    st.sampled_from([PNG_SIGNATURE, b"\xff\xd8\xff\xe0"]), st.integers(0, 2), st.integers(1, 255)
)
def test_a_changed_signature_is_rejected(signature: bytes, at: int, change: int) -> None:
    changed = bytearray(signature)
    changed[at] ^= change
    assert detect(bytes(changed)) is None


def test_extensions_are_those_people_expect() -> None:
    assert [kind.extension for kind in ImageType] == [
        ".jpg",
        ".png",
        ".gif",
        ".webp",
        ".avif",
        ".heic",
    ]
