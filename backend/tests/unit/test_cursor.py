from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.images.cursor import InvalidCursor, decode_cursor, encode_cursor
from app.domain.image import Position

POSITION = Position(datetime(2026, 11, 24, 12, 0, 0, 123456, UTC), UUID(int=7))
positions = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(positions)
def test_a_position_survives_encoding_and_decoding(position: Position) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(positions)
def test_a_cursor_needs_no_quoting_in_a_url(position: Position) -> None:
    assert encode_cursor(position).replace("-", "").replace("_", "").isalnum()


@given(st.text())
def test_a_forged_cursor_is_refused_and_never_breaks_anything(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor)


@pytest.mark.parametrize("length", range(36))
def test_a_truncated_cursor_is_refused(length: int) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(POSITION)[:length])


def test_a_cursor_of_another_sort_is_refused() -> None:
    packed = urlsafe_b64decode(encode_cursor(POSITION))
    with pytest.raises(InvalidCursor):
        decode_cursor(urlsafe_b64encode(b"sz\x01" + packed[3:]).decode())


def test_a_time_beyond_the_calendar_is_refused() -> None:
    packed = urlsafe_b64decode(encode_cursor(POSITION))
    with pytest.raises(InvalidCursor):
        decode_cursor(urlsafe_b64encode(packed[:3] + b"\x7f" + b"\xff" * 7 + packed[11:]).decode())


@pytest.mark.parametrize("extra", [" ", "=", "\n", "!", "A"])
def test_a_cursor_with_something_added_is_refused(extra: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(encode_cursor(POSITION) + extra)
