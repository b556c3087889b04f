"""Prometheus and Alertmanager from Debian, with the configuration of deploy/prometheus."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from testkit.daemons import Daemon, lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.programs import ALERTMANAGER, PROMETHEUS
from testkit.service import ROOT

CONFIGURATION: Final = ROOT / "deploy" / "prometheus"
QUICKER: Final = 60
"""How many times quicker time goes by in the rules of a test that waits for alerts."""
MUCH_QUICKER: Final = 600
"""The same for alerts that look at hours and days; what looks at minutes sees nothing then, since
a service is asked once a second."""

_UNITS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<=for: )\d+[smhd](?=\n)")


class _Server(Daemon):
    """Either of the two.

    Args:
        folder: Where its files are.
        program: Which of them.
        options: Of its command line, beside its address.
    """

    def __init__(self, folder: Path, program: str, *options: str) -> None:
        self.port = lasting_port()
        self.url = f"http://127.0.0.1:{self.port}"
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        super().__init__([program, listen, *options], folder / f"{Path(program).name}.log")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        wait_until(self._is_ready)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what its interface answers."""
        response = httpx.get(f"{self.url}{path}", params=parameters, timeout=TIMEOUT)
        assert response.is_success, response.text
        return response.json()

    def _is_ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/-/ready", timeout=TIMEOUT).is_success
        return False


class Alertmanager(_Server):
    """Who is told of alerts."""

    def __init__(self, folder: Path) -> None:
        configuration = CONFIGURATION / "alertmanager.yml"
        super().__init__(
            folder,
            ALERTMANAGER,
            f"--config.file={configuration}",
            f"--storage.path={folder / 'alertmanager'}",
            "--cluster.listen-address=",
        )

    def alerts(self) -> list[dict[str, Any]]:
        """List the alerts that it knows."""
        found: list[dict[str, Any]] = self.ask("/api/v2/alerts")
        return found

    def names(self) -> set[str]:
        """Return the names of the alerts that it knows."""
        return {alert["labels"]["alertname"] for alert in self.alerts()}

    def suppressed(self) -> set[str]:
        """Return the names of those that it keeps back, since another says why."""
        return {
            alert["labels"]["alertname"]
            for alert in self.alerts()
            if alert["status"]["state"] == "suppressed"
        }


class Prometheus(_Server):
    """What asks a service for its metrics.

    Args:
        folder: For its files; the configuration is in `prometheus` below it.
        targets: host:port of those that it asks.
        alertmanager: Whom it tells of alerts.
        quicker: How many times quicker time goes by in the rules.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[str],
        alertmanager: Alertmanager | None = None,
        quicker: int = 1,
    ) -> None:
        configuration = folder / "prometheus"
        shutil.copytree(CONFIGURATION, configuration)
        _write_targets(configuration / "targets" / "image-host.yml", targets)
        told = [f"127.0.0.1:{alertmanager.port}"] if alertmanager else []
        _write_targets(configuration / "targets" / "alertmanager.yml", told)
        _ask_each_second(configuration / "prometheus.yml")
        hurry(configuration / "rules.yml", quicker)
        super().__init__(
            folder,
            PROMETHEUS,
            f"--config.file={configuration / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'samples'}",
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now, each with `metric` and `value`."""
        found: list[dict[str, Any]] = self.ask("/api/v1/query", query=expression)["data"]["result"]
        return found

    def value(self, expression: str) -> float | None:
        """Return the one value that an expression has now; None = it has none."""
        series = self.query(expression)
        assert len(series) <= 1, series
        return float(series[0]["value"][1]) if series else None

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.ask("/api/v1/alerts")["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def _write_targets(file: Path, targets: Sequence[str]) -> None:
    file.write_text(json.dumps([{"targets": list(targets)}]))


def _ask_each_second(file: Path) -> None:
    """Let no test wait for the next time that a service is asked, which is each 15 seconds."""
    text, count = re.subn(r"(?<=_interval: )15s", "1s", file.read_text())
    assert count == 2
    file.write_text(text)


def hurry(file: Path, quicker: int) -> None:
    """Divide each duration in the rules, and nothing else: neither an expression nor a threshold.

    `rate(…[5m])` and `for: 5m` become `rate(…[5000ms])` and `for: 5000ms`.
    """

    def divide(found: re.Match[str]) -> str:
        return f"{int(found[0][:-1]) * _UNITS[found[0][-1]] // quicker}ms"

    file.write_text(_DURATION.sub(divide, file.read_text()))


@contextmanager
def running_alertmanager(folder: Path) -> Iterator[Alertmanager]:
    """Run an Alertmanager during the block."""
    server = Alertmanager(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def running_prometheus(
    folder: Path,
    *targets: str,
    alertmanager: Alertmanager | None = None,
    quicker: int = 1,
) -> Iterator[Prometheus]:
    """Run a Prometheus during the block, as its class says."""
    server = Prometheus(folder, targets, alertmanager, quicker)
    server.start()
    try:
        yield server
    finally:
        server.kill()
