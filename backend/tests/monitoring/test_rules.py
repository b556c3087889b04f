"""The rules of deploy/prometheus: what fires when, and what people are told."""

import re
import subprocess
from pathlib import Path

import pytest

from testkit.programs import PROMTOOL, needs_prometheus
from testkit.prometheus import MUCH_QUICKER, QUICKER, hurry
from testkit.promql import RULES, alerts, rules
from testkit.service import ROOT

TESTS = sorted(Path(__file__).parent.glob("*.test.yml"))
CAUSED = sorted(Path(__file__).parent.glob("test_*alerts.py"))
ALERTS = {alert["alert"]: alert for alert in alerts()}
OPERATIONS = ROOT / "docs" / "operations.md"


@needs_prometheus
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_alerts_fire_when_they_should_and_not_when_they_nearly_should(file: Path) -> None:
    run = subprocess.run(  # noqa: S603 - our own arguments
        [PROMTOOL, "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_seen_to_fire(name: str) -> None:
    """That it fires at nothing else, each scenario shows for its own."""
    seen = "\n".join(file.read_text() for file in TESTS)
    assert f'alertname="{name}",alertstate="firing",' in seen or f"alertname: {name}\n" in seen


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_caused_of_a_real_service(name: str) -> None:
    """Which the tests beside this one wait for."""
    caused = "\n".join(file.read_text() for file in CAUSED)
    assert re.search(rf'(wait_for|fires)\([^)]*"{name}"', caused)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_what_is_wrong_and_leads_to_its_row(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning"} or name == "BudgetBurning"
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == OPERATIONS
    row = re.search(rf'^\| <a id="{anchor}"></a>(.*?) \|', OPERATIONS.read_text(), re.MULTILINE)
    assert row
    assert f"`{name}`" in row[1]


@pytest.mark.parametrize("quicker", [QUICKER, MUCH_QUICKER])
def test_a_test_that_waits_for_alerts_changes_nothing_but_how_long_things_take(
    tmp_path: Path, quicker: int
) -> None:
    hurried = tmp_path / "rules.yml"
    hurried.write_text(RULES.read_text())
    hurry(hurried, quicker)
    duration = re.compile(r"(\[|for: )(\d+)(ms|[smhd])")
    assert duration.sub(r"\1", hurried.read_text()) == duration.sub(r"\1", RULES.read_text())
    by_window = {rule["record"]: rule["expr"] for rule in rules(hurried) if "record" in rule}
    assert f"[{300_000 // quicker}ms]" in by_window["image_host:burn_rate:5m"]
    assert f"[{259_200_000 // quicker}ms]" in by_window["image_host:burn_rate:3d"]
    assert not duration.search(re.sub(r"\d+ms", "", hurried.read_text()))
