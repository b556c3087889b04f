"""The files of deploy/prometheus, by the programs that read them."""

import subprocess
from pathlib import Path

import httpx

from testkit.daemons import lasting_port
from testkit.live import wait_until
from testkit.programs import AMTOOL, PROMTOOL, needs_alertmanager, needs_prometheus
from testkit.prometheus import CONFIGURATION, Prometheus, running_alertmanager, running_prometheus


def check(*command: str | Path) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@needs_prometheus
def test_prometheus_reads_its_configuration_with_the_rules() -> None:
    output = check(PROMTOOL, "check", "config", CONFIGURATION / "prometheus.yml")
    assert "rules.yml" in output
    assert "FAILED" not in output


@needs_alertmanager
def test_alertmanager_reads_its_configuration() -> None:
    output = check(AMTOOL, "check-config", CONFIGURATION / "alertmanager.yml")
    assert "SUCCESS" in output


@needs_prometheus
@needs_alertmanager
def test_prometheus_asks_whom_its_targets_name_and_tells_alertmanager(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{lasting_port()}"
    with (
        running_alertmanager(tmp_path) as alertmanager,
        running_prometheus(tmp_path, nobody, alertmanager=alertmanager) as prometheus,
    ):
        wait_until(lambda: prometheus.value(f'up{{job="image-host",instance="{nobody}"}}') == 0)
        wait_until(lambda: told_by(prometheus) == [f"{alertmanager.url}/api/v2/alerts"])


@needs_alertmanager
def test_a_database_that_is_down_keeps_errors_back_and_a_worker_that_is_down_does_not(
    tmp_path: Path,
) -> None:
    with running_alertmanager(tmp_path) as alertmanager:

        def tell(**labels: str) -> None:
            sent = httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[{"labels": labels}])
            assert sent.is_success
            wait_until(lambda: labels["alertname"] in alertmanager.names())

        def state() -> str:
            found = {one["labels"]["alertname"]: one for one in alertmanager.alerts()}
            return str(found["BudgetBurning"]["status"]["state"])

        tell(alertname="ServiceDown", instance="worker:9464", severity="critical")
        tell(alertname="BudgetBurning", objective="requests", severity="critical")
        wait_until(lambda: state() == "active")
        tell(alertname="DatabaseDown", instance="api:9464", severity="critical")
        wait_until(lambda: state() == "suppressed")


def told_by(prometheus: Prometheus) -> list[str]:
    told = prometheus.ask("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    return [entry["url"] for entry in told]
