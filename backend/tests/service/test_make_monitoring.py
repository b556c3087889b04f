"""`make monitoring` on a machine with Debian's Prometheus."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_alertmanager, needs_prometheus
from testkit.service import Service, StartService, make

METRICS = "METRICS_ADDRESS=127.0.0.1:9464"
"""Of a service that no test starts."""


@dataclass
class Monitoring:
    """A `make monitoring` that runs."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    alertmanager_port: int

    @property
    def output(self) -> str:
        return self.log.read_text()

    def ask(self, path: str) -> Any:
        """Return what Prometheus answers on a path of its API."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        return httpx.get(url, timeout=TIMEOUT).json()["data"]

    def command(self) -> psutil.Process:
        """Return the process that `make` has started."""
        (command,) = psutil.Process(self.process.pid).children()
        return command

    def programs(self) -> list[psutil.Process]:
        """List the two, which the command has started."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in found if one.name().startswith("prometheus")]


@contextmanager
def monitoring(project: Path, *settings: str) -> Iterator[Monitoring]:
    """Run it until the end of the block, with free ports."""
    ports = lasting_port(), lasting_port()
    arguments = f"ARGS=--port {ports[0]} --alertmanager-port {ports[1]}"
    log = project / "monitoring.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            ["make", "monitoring", *settings, arguments],  # noqa: S607
            cwd=project,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        running = Monitoring(process, log, *ports)
        wait_until(lambda: "Status: " in running.output or process.poll() is not None)
        assert process.poll() is None, running.output
        yield running
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(TIMEOUT)


@pytest.fixture
def measured(start: StartService) -> tuple[Service, str]:
    """Start a service with metrics; return it, and the setting that says where they are."""
    address = f"METRICS_ADDRESS=127.0.0.1:{lasting_port()}"
    return start(address).wait_until_it_serves(), address


@needs_prometheus
@needs_alertmanager
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_records_what_the_service_does_until_a_signal(
    project: Path, measured: tuple[Service, str], number: int
) -> None:
    service, address = measured
    folder = f"DATA_DIR={service.data_dir}"
    with monitoring(project, address, folder) as running:
        for port in (running.port, running.alertmanager_port):
            assert f"http://127.0.0.1:{port}\n" in running.output
        assert f"http://{address.partition('=')[2]}/status" in running.output

        def is_up() -> bool:
            up = running.ask('query?query=up{job="image-host"}')["result"]
            return [one["value"][1] for one in up] == ["1"]

        wait_until(is_up, 2 * TIMEOUT)
        wait_until(lambda: len(running.ask("alertmanagers")["activeAlertmanagers"]) == 1)
        assert running.ask("rules?type=alert")["groups"]
        recorded = service.data_dir / "monitoring"
        assert (recorded / "recorded").is_dir()
        assert recorded.stat().st_mode & 0o077 == 0
        programs = running.programs()
        assert len(programs) == 2
        running.command().send_signal(number)
        assert running.process.wait(TIMEOUT) == 0, running.output
    psutil.wait_procs(programs, TIMEOUT)
    assert not any(program.is_running() for program in programs)


@needs_prometheus
@needs_alertmanager
def test_nothing_of_it_is_reached_from_other_machines(project: Path) -> None:
    with monitoring(project, METRICS) as running:
        listening = [
            connection.laddr.ip
            for program in running.programs()
            for connection in program.net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening == ["127.0.0.1"] * 2


@needs_prometheus
@needs_alertmanager
@pytest.mark.parametrize("name", ["prometheus", "prometheus-alertmanager"])
def test_if_one_of_the_two_ends_the_other_does_and_a_line_says_which(
    project: Path, name: str
) -> None:
    with monitoring(project, METRICS) as running:
        programs = running.programs()
        assert len(programs) == 2
        (victim,) = [program for program in programs if program.name() == name]
        victim.kill()
        assert running.process.wait(TIMEOUT) != 0
        called = "Prometheus" if name == "prometheus" else "Alertmanager"
        assert f"{called} has ended by itself" in running.output
    psutil.wait_procs(programs, TIMEOUT)
    assert not any(program.is_running() for program in programs)


@needs_prometheus
@needs_alertmanager
def test_if_it_is_killed_nothing_is_left(project: Path) -> None:
    with monitoring(project, METRICS) as running:
        programs = running.programs()
        running.command().kill()
        psutil.wait_procs(programs, TIMEOUT)
        assert not any(program.is_running() for program in programs)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ((), "set METRICS_ADDRESS=127.0.0.1:9464"),
        ((METRICS, "PATH=/nowhere"), "apt install"),
        ((METRICS, "ARGS=--port TAKEN"), "is in use"),
    ],
)
@needs_prometheus
@needs_alertmanager
def test_what_is_missing_is_one_line(project: Path, settings: Sequence[str], advice: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = make(project, "monitoring", *(one.replace("TAKEN", port) for one in settings))
    assert done.returncode != 0
    (line,) = re.findall(r"^(?!make).+$", done.stderr, re.MULTILINE)
    assert advice in line
