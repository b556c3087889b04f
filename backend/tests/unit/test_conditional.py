from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.conditional import FileState, PreconditionFailed, Selection, select
from app.api.ranges import RangeNotSatisfiable

FILE = FileState('"abc"', datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC), 1000)
WHOLE = Selection(200, 0, 1000)
UNCHANGED = Selection(304)
SAME = FILE.last_modified
EARLIER = format_datetime(FILE.modified - timedelta(seconds=1), usegmt=True)
LATER = format_datetime(FILE.modified + timedelta(seconds=1), usegmt=True)


def get(method: str = "GET", **headers: str) -> Selection:
    return select(method, Headers({k.replace("_", "-"): v for k, v in headers.items()}), FILE)


def test_a_plain_request_gets_the_whole_file() -> None:
    assert get() == WHOLE


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"abc"', UNCHANGED),
        ('W/"abc"', UNCHANGED),
        ("*", UNCHANGED),
        ('"x", "abc"', UNCHANGED),
        ('"x" ,W/"abc","y"', UNCHANGED),
        ('"a,b", "abc"', UNCHANGED),
        ('"x"', WHOLE),
        ('"ABC"', WHOLE),
        ("abc", WHOLE),
        ('"ab', WHOLE),
        ("", WHOLE),
    ],
)
def test_if_none_match_compares_weakly_in_lists(value: str, expected: Selection) -> None:
    assert get(if_none_match=value) == expected
    assert get("HEAD", if_none_match=value) == expected


def test_if_none_match_may_be_spread_over_several_headers() -> None:
    headers = Headers(raw=[(b"if-none-match", b'"x"'), (b"if-none-match", b'"abc"')])
    assert select("GET", headers, FILE) == UNCHANGED


@pytest.mark.parametrize(
    ("value", "expected"),
    [(SAME, UNCHANGED), (LATER, UNCHANGED), (EARLIER, WHOLE), ("yesterday", WHOLE), ("", WHOLE)],
)
def test_if_modified_since_compares_dates(value: str, expected: Selection) -> None:
    assert get(if_modified_since=value) == expected


def test_a_tag_that_does_not_match_overrules_a_date_that_does() -> None:
    assert get(if_none_match='"x"', if_modified_since=SAME) == WHOLE


@pytest.mark.parametrize("value", ['"abc"', "*", '"x", "abc"'])
def test_if_match_lets_pass(value: str) -> None:
    assert get(if_match=value) == WHOLE


@pytest.mark.parametrize("value", ['"x"', 'W/"abc"', "abc"])
def test_if_match_refuses_and_compares_strongly(value: str) -> None:
    with pytest.raises(PreconditionFailed):
        get(if_match=value)


def test_if_unmodified_since_counts_only_without_if_match() -> None:
    assert get(if_unmodified_since=SAME) == WHOLE
    assert get(if_unmodified_since=EARLIER, if_match='"abc"') == WHOLE
    with pytest.raises(PreconditionFailed):
        get(if_unmodified_since=EARLIER)


@pytest.mark.parametrize(
    ("value", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 100),
        ("bytes=500-", 500, 500),
        ("bytes=999-", 999, 1),
        ("bytes=0-5000", 0, 1000),
        ("bytes=-1", 999, 1),
        ("bytes=-1000", 0, 1000),
        ("bytes=-5000", 0, 1000),
        ("BYTES=0-9", 0, 10),
        ("bytes = 0-9", 0, 10),
    ],
)
def test_a_single_range_selects_its_bytes(value: str, start: int, length: int) -> None:
    assert get(range=value) == Selection(206, start, length)


@pytest.mark.parametrize("value", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_outside_the_file_is_not_satisfiable(value: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        get(range=value)
    assert caught.value.size == 1000


@pytest.mark.parametrize(
    "value",
    [
        "bytes=9-3",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "items=0-9",
        "bytes=0-1,5-6",
        "bytes=",
        "",
        "bytes=--1",
        "bytes=0-9" + "9" * 5000,
        "bytes=\u0663-",
    ],
)
def test_a_range_that_is_malformed_or_multiple_is_ignored(value: str) -> None:
    headers = Headers(raw=[(b"range", value.encode("utf-8"))])
    assert select("GET", headers, FILE) == WHOLE


def test_a_range_is_defined_for_get_only() -> None:
    assert get("HEAD", range="bytes=0-9") == WHOLE


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ('"abc"', 206),
        (SAME, 206),
        ('W/"abc"', 200),
        ('"x"', 200),
        (EARLIER, 200),
        (LATER, 200),
        ("x", 200),
    ],
)
def test_if_range_lets_a_range_apply_to_the_same_file_only(value: str, status: int) -> None:
    assert get(range="bytes=0-9", if_range=value).status == status


def test_a_condition_that_holds_comes_before_the_range() -> None:
    assert get(range="bytes=0-9", if_none_match='"abc"') == UNCHANGED
    assert get(range="bytes=5000-", if_none_match='"abc"') == UNCHANGED


@given(st.integers(1, 2000), st.integers(0, 2500), st.integers(0, 2500))
def test_a_range_selects_what_slicing_would(size: int, first: int, last: int) -> None:
    data = bytes(number % 251 for number in range(size))
    file = FileState(FILE.etag, FILE.modified, size)
    headers = Headers({"range": f"bytes={first}-{last}"})
    try:
        chosen = select("GET", headers, file)
    except RangeNotSatisfiable:
        assert first >= size
    else:
        expected = data if last < first else data[first : last + 1]
        assert data[chosen.start : chosen.start + chosen.length] == expected


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "range",
                "if-range",
                "if-match",
                "if-none-match",
                "if-modified-since",
                "if-unmodified-since",
            ]
        ),
        st.text(st.characters(max_codepoint=255))
        | st.from_regex(r"bytes=[0-9]*-[0-9]*", fullmatch=True),
    ),
    st.sampled_from(["GET", "HEAD"]),
)
def test_no_header_breaks_the_evaluation(headers: dict[str, str], method: str) -> None:
    try:
        chosen = select(method, Headers(headers), FILE)
    except (PreconditionFailed, RangeNotSatisfiable):
        return
    assert 0 <= chosen.start <= chosen.start + chosen.length <= FILE.size
