"""What is remembered is bounded, in number and in time."""

import pytest

from app.runtime import expiring
from app.runtime.expiring import ExpiringMap


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(expiring, "monotonic", lambda: now[0])
    return now


def test_a_value_is_remembered_until_it_expires(clock: list[float]) -> None:
    values = ExpiringMap[int, str](most=2, seconds=5)
    assert values.put(1, "one", since=998) == "one"
    assert values.get(1) == "one"
    clock[0] = 1002.9
    assert values.get(1) == "one"
    clock[0] = 1003
    assert values.get(1) is None


def test_the_least_recently_used_makes_room(clock: list[float]) -> None:
    values = ExpiringMap[int, str](most=2, seconds=5)
    for number in (1, 2):
        values.put(number, "value", since=1000)
    assert values.get(1)
    values.put(3, "value", since=1000)
    assert [number for number in (1, 2, 3) if values.get(number)] == [1, 3]


def test_ten_thousand_values_leave_no_more_than_the_most(clock: list[float]) -> None:
    values = ExpiringMap[int, str](most=100, seconds=5)
    for number in range(10_000):
        values.put(number, "value", since=1000)
    assert [number for number in range(10_000) if values.get(number)] == list(range(9_900, 10_000))
