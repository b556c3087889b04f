"""What is remembered is bounded, in number and in time."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from app.domain.image import Image
from app.services import hot_files
from app.services.hot_files import HotFiles


def image(number: int) -> Image:
    return Image(
        UUID(int=number), "a.jpg", "key", "image/jpeg", 1, None, None, None, None, datetime.now(UTC)
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(hot_files, "monotonic", lambda: now[0])
    return now


def test_a_file_is_remembered_until_its_time_is_up(clock: list[float]) -> None:
    files = HotFiles(most=2, seconds=5)
    asked = image(1)
    file = files.remember(asked, asked_at=998)
    assert file.image is asked
    assert files.find(asked.id) is file
    clock[0] = 1002.9
    assert files.find(asked.id) is file
    clock[0] = 1003
    assert files.find(asked.id) is None


def test_the_least_recently_used_makes_room(clock: list[float]) -> None:
    files = HotFiles(most=2, seconds=5)
    for number in (1, 2):
        files.remember(image(number), asked_at=1000)
    assert files.find(UUID(int=1))
    files.remember(image(3), asked_at=1000)
    assert [number for number in (1, 2, 3) if files.find(UUID(int=number))] == [1, 3]


def test_ten_thousand_files_leave_no_more_than_the_most(clock: list[float]) -> None:
    files = HotFiles(most=100, seconds=5)
    for number in range(10_000):
        files.remember(image(number), asked_at=1000)
    kept = [number for number in range(10_000) if files.find(UUID(int=number))]
    assert kept == list(range(9_900, 10_000))
