"""Rows as values of the cache: whole and right, or not there."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.image import Image, ImageDetails
from app.services.cached_rows import FORMAT, decode, encode

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
ID = uuid4()
IMAGE = Image(
    id=ID,
    filename="Zürich 😀.jpg",
    storage_key=f"{ID.hex}.jpg",
    content_type="image/jpeg",
    file_size=3_000_000_000,
    width=640,
    height=480,
    checksum=bytes(range(32)),
    truncated=False,
    created_at=NOW,
    updated_at=NOW,
    placeholder=bytes(25),
    rendered_at=NOW,
    thumbnail_sizes=[150, 300, 800],
    render_error=None,
)
DETAILS = ImageDetails(IMAGE, {"camera_make": "Acme", "exposure_time": 1 / 3, "iso": 100})

times = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]))
images = st.builds(
    Image,
    id=st.uuids(),
    filename=texts,
    storage_key=texts,
    content_type=texts,
    file_size=st.integers(1, 2**63 - 1),
    width=st.none() | st.integers(1),
    height=st.none() | st.integers(1),
    checksum=st.none() | st.binary(min_size=32, max_size=32),
    truncated=st.none() | st.booleans(),
    created_at=times,
    updated_at=st.none() | times,
    placeholder=st.none() | st.binary(),
    rendered_at=st.none() | times,
    thumbnail_sizes=st.none() | st.lists(st.integers(1, 10_000)),
    render_error=st.none() | texts,
)
metadata = st.dictionaries(texts, texts | st.integers() | st.floats(allow_nan=False))


@given(images, st.none() | metadata)
def test_every_row_comes_back_as_it_was(image: Image, found: dict[str, Any] | None) -> None:
    details = ImageDetails(image, found)
    assert decode(image.id, encode(details)) == details


def test_a_row_takes_less_than_half_a_kilobyte() -> None:
    assert len(encode(DETAILS)) < 400


def test_a_row_of_another_image_is_none() -> None:
    assert decode(uuid4(), encode(DETAILS)) is None


@pytest.mark.parametrize("format_", [b"\0", b"\1", b"{", b""])
def test_a_row_of_another_version_is_none(format_: bytes) -> None:
    assert decode(ID, format_ + encode(DETAILS)[1:]) is None


def test_a_row_of_which_any_bit_differs_or_an_end_is_missing_is_none() -> None:
    value = encode(DETAILS)
    for place in range(len(value)):
        assert decode(ID, value[:place]) is None
        for bit in range(8):
            damaged = bytearray(value)
            damaged[place] ^= 1 << bit
            assert decode(ID, bytes(damaged)) is None
    assert decode(ID, value + b" ") is None


def test_the_format_changes_with_the_fields() -> None:
    """Two versions share a cache while an upgrade rolls: with the fields, change `FORMAT`, too."""
    fields = (
        "filename storage_key content_type file_size width height checksum truncated created_at "
        "updated_at placeholder rendered_at thumbnail_sizes render_error owner_id is_public"
    )
    assert (FORMAT, " ".join(Image._fields[1:])) == (b"\2", fields)
