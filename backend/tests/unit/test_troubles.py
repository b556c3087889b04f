"""What the status page calls wrong: the same as the alerts do, by the same words of the manual."""

import re
from pathlib import Path

import pytest

from app.observability.figures import Maintenance
from app.observability.metrics.recent import Recent
from app.services.troubles import Trouble, find_troubles, state_of
from app.services.watch import Status
from testkit.statuses import (
    DOWN,
    NOW,
    SETTINGS,
    TROUBLED,
    WELL,
    after_ends,
    with_figures,
    with_queue,
    without,
)

ROOT = Path(__file__).parents[3]


def troubles_of(status: Status) -> list[Trouble]:
    return find_troubles(status, SETTINGS)


@pytest.mark.parametrize(("status", "row", "is_urgent"), TROUBLED.values(), ids=TROUBLED)
def test_what_is_wrong_is_named_with_its_row_of_the_manual(
    status: Status, row: str, is_urgent: bool
) -> None:
    (trouble,) = troubles_of(status)
    assert (trouble.row, trouble.is_urgent) == (row, is_urgent)
    assert state_of(status, [trouble]) == ("urgent" if is_urgent else "later")


def test_page_and_alerts_agree_on_what_is_urgent() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8")
    alerts = re.findall(r"severity: (.*?)\n.*?runbook_url: .*?#([a-z-]+)\n", rules, re.DOTALL)
    known = {(row, "critical" in severity) for severity, row in alerts}
    assert {(row, is_urgent) for _, row, is_urgent in TROUBLED.values()} <= known


def test_every_row_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert {row for _, row, _ in TROUBLED.values()} <= set(
        re.findall(r'<a id="([a-z-]+)">', manual)
    )


@pytest.mark.parametrize(
    "status",
    [
        WELL,
        with_queue(700),
        after_ends(2),
        after_ends(9, minutes=20),
        with_figures(cache=None),
        with_figures(space=None, stored=None, queue=None, maintenance=None),
        with_figures(maintenance=Maintenance(None, None, None)),
        WELL._replace(recent=Recent(10.0, 4, 4, 0.05, 0)),
    ],
)
def test_nothing_is_called_wrong_that_is_not(status: Status) -> None:
    assert troubles_of(status) == []
    assert state_of(status, []) == "well"


def test_a_service_that_has_just_started_lacks_nothing() -> None:
    status = without("service-0", "service-1", "worker-0")._replace(since=NOW)
    assert troubles_of(status) == []


@pytest.mark.parametrize("name", ["database", "storage"])
def test_nobody_is_told_that_all_is_well_before_it_is_known(name: str) -> None:
    assert state_of(with_figures(**{name: None}), []) == "unknown"


def test_what_is_urgent_comes_first() -> None:
    status = with_figures(cache=DOWN, database=DOWN)
    status = status._replace(changes=after_ends(3).changes)
    assert [trouble.is_urgent for trouble in troubles_of(status)] == [True, False, False]
    assert troubles_of(status)[0].since == DOWN.since


def test_requests_that_fail_for_want_of_the_database_are_not_named_beside_it() -> None:
    status = with_figures(database=DOWN)._replace(recent=TROUBLED["errors"][0].recent)
    assert [trouble.row for trouble in troubles_of(status)] == ["database-down"]
