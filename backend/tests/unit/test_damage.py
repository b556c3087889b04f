from uuid import uuid4

import pytest

from app.services import damage
from app.services.damage import DamageReports


def test_an_image_is_reported_once_in_each_period(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(damage, "monotonic", lambda: now)
    reports = DamageReports(most=10, seconds=60)
    image, other = uuid4(), uuid4()
    assert [reports.is_due(image) for _ in range(3)] == [True, False, False]
    now = 130.0
    assert [reports.is_due(image), reports.is_due(other)] == [False, True]
    now = 160.0
    assert [reports.is_due(image), reports.is_due(other)] == [True, False]


def test_a_lost_disk_is_not_reported_image_by_image(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(damage, "monotonic", lambda: now)
    reports = DamageReports(most=10, seconds=60)
    assert sum(reports.is_due(uuid4()) for _ in range(1_000)) == 10
    now = 160.0
    assert sum(reports.is_due(uuid4()) for _ in range(1_000)) == 10
    assert len(reports._ends) == 10
