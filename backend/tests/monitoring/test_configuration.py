"""The files of deploy/prometheus, by the programs that read them."""

import subprocess
from pathlib import Path

from testkit.live import free_port, wait_until
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
    nobody = f"127.0.0.1:{free_port()}"
    with (
        running_alertmanager(tmp_path) as alertmanager,
        running_prometheus(tmp_path, nobody, alertmanager=alertmanager) as prometheus,
    ):
        wait_until(lambda: prometheus.value(f'up{{job="image-host",instance="{nobody}"}}') == 0)
        wait_until(lambda: told_by(prometheus) == [f"{alertmanager.url}/api/v2/alerts"])


def told_by(prometheus: Prometheus) -> list[str]:
    told = prometheus.ask("/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
    return [entry["url"] for entry in told]
