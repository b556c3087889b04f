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
        b"RIFF\x00\x00\x00\x00",
        b"<svg xml",
        b"<!doctyp",
        b"%PDF-1.7",
        b"MZ\x90\x00",
    ],
)
def test_other_formats_are_rejected(head: bytes) -> None:
    assert detect(head) is None


@given(st.binary(max_size=64))
def test_the_head_alone_decides(data: bytes) -> None:
    assert detect(data) == detect(data[:HEAD_BYTES])


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
