"""Whatever is found in a file, or claimed to be, what is kept of it is harmless."""

import json
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.metadata import MAX_TEXT, clean
from app.schemas.metadata import METADATA_EXAMPLE, MetadataOut

FIELDS = list(METADATA_EXAMPLE)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=3000)
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES))
def test_what_is_kept_is_harmless_whatever_was_found(found: dict[str, object]) -> None:
    kept = clean(found)
    assert clean(dict(kept)) == kept
    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    for name, value in kept.items():
        assert name in FIELDS
        if isinstance(value, str):
            assert value.isprintable()
            assert value == value.strip() != ""
            assert len(value.encode()) <= MAX_TEXT
        else:
            assert isfinite(value)
            assert value > 0


def test_a_valid_field_of_each_kind_is_kept_as_it_is() -> None:
    assert clean(METADATA_EXAMPLE) == METADATA_EXAMPLE


def test_the_documented_fields_are_those_that_are_kept() -> None:
    assert list(MetadataOut.__annotations__) == FIELDS


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  Canon\0\0", "Canon"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31mred\x7f\x9b", "[31mred"),
        ("left\u202eright\u2066 \u200f", "left right"),
        ("a\ud800b", "a b"),
        ("a\u2028b\u00a0c", "a b c"),
        ("Voigtländer 😀 カメラ", "Voigtländer 😀 カメラ"),
        ("é" * 600, "é" * 512),
        ("a" + "é" * 600, "a" + "é" * 511),
        ("a" * 1023 + " b", "a" * 1023),
        ("\0 \n", None),
        ("", None),
        (b"Canon", None),
        (7, None),
    ],
)
def test_a_text_is_one_line_of_characters_that_can_be_seen(text: object, kept: str | None) -> None:
    assert clean({"camera_make": text}).get("camera_make") == kept


@pytest.mark.parametrize(
    ("time", "kept"),
    [
        ("2026-11-24T12:00:00", True),
        ("2026-11-24T12:00:00+05:30", True),
        ("2026-11-24T12:00:00-15:59", True),
        ("2026-11-24T12:00:00+16:00", False),
        ("2026-11-24T12:00:00Z", False),
        ("0000-00-00T00:00:00", False),
        ("2026-02-29T12:00:00", False),
        ("2026-11-24T24:00:00", False),
        ("2026-11-24T12:00:00.5", False),
        ("2026-11-24", False),
        ("٢٠٢٦-11-24T12:00:00", False),
        (1_795_521_600, False),
    ],
)
def test_a_time_is_one_of_the_calendar(time: object, kept: bool) -> None:
    assert clean({"taken_at": time}) == ({"taken_at": time} if kept else {})


@pytest.mark.parametrize("value", [0, -1, nan, inf, -inf, True, "1", None, [1], 1e300, 10**400])
@pytest.mark.parametrize(
    "name", ["exposure_time", "f_number", "iso", "focal_length", "orientation"]
)
def test_a_number_that_cannot_be_is_dropped(name: str, value: object) -> None:
    assert clean({name: value}) == {}


def test_digits_beyond_six_are_dropped() -> None:
    assert clean({"exposure_time": 1 / 60, "f_number": 2}) == {
        "exposure_time": 0.0166667,
        "f_number": 2.0,
    }
    assert clean({"iso": 100.5, "orientation": 9}) == {}
