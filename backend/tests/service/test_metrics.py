"""The metrics of a service whose processes come and go."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from app import __version__
from app.database.revisions import HEAD
from app.observability.metrics.exposition import KEPT_SECONDS
from app.observability.metrics.folder import VARIABLE
from app.observability.metrics.processes import read_processes
from app.server.process_kinds import STABLE_SECONDS
from testkit.live import wait_until
from testkit.metrics import Metrics, scrape
from testkit.processes import assert_ended
from testkit.service import (
    Service,
    StartService,
    delete,
    make_checkout,
    refused_start,
    starting_services,
    upload,
)

ROUNDS = 6
"""In each, both server processes are killed."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads a process's environment")


class Measured:
    """A service with metrics, of two server processes and a worker."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def address(self) -> str:
        found = re.search(r"^Metrics: +http://(.+)/metrics$", self.service.output, re.MULTILINE)
        assert found, self.service.output
        return found[1]

    @cached_property
    def folder(self) -> Path:
        return Path(self.service.serving()[0].environ()[VARIABLE])

    def scrape(self) -> Metrics:
        return scrape(self.address)

    def scrape_anew(self) -> Metrics:
        """Ask for what is counted by now, also a moment after somebody else has asked."""
        time.sleep(KEPT_SECONDS)
        return self.scrape()

    def metrics_process(self) -> psutil.Process:
        (found,) = self.service._children("app.commands.metrics_process")
        return found

    def wait_until_all_serve(self, *ended: psutil.Process) -> None:
        """Wait until each has served for so long that its end is no failure to start.

        Args:
            ended: Are none of them, though the supervisor may not have seen that yet.
        """
        others = {one.pid for one in ended}

        def all_serve() -> bool:
            running = read_processes(self.folder).running.values()
            latest = time.time() - STABLE_SECONDS
            return len(running) == 4 and all(
                one.since and one.since < latest and one.pid not in others for one in running
            )

        wait_until(all_serve)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Run a service for all tests; each counts from where the one before it has left."""
    with starting_services(make_checkout(tmp_path_factory.mktemp("metrics") / "checkout")) as start:
        settings = ("WORKERS=2", "WORKER_PROCESSES=1", "METRICS_ADDRESS=127.0.0.1:0")
        yield Measured(start(*settings).wait_until_it_serves())


@pytest.fixture
def measured(running: Measured) -> Measured:
    running.wait_until_all_serve()
    return running


def kill_all(processes: list[psutil.Process], measured: Measured) -> None:
    """Kill processes, and wait until others have taken their places."""
    for process in processes:
        process.kill()
    assert_ended(processes)
    measured.wait_until_all_serve(*processes)


def test_no_count_goes_back_and_no_file_is_left_however_often_processes_are_killed(
    measured: Measured,
) -> None:
    service = measured.service
    wait_until(lambda: measured.scrape().value("event_loop_lag_seconds_count") > 3)
    files = {file.name for file in measured.folder.iterdir()}
    first = before = measured.scrape_anew()

    def grown(name: str, **labels: str) -> float:
        return before.value(name, **labels) - first.value(name, **labels)

    for number in range(1, ROUNDS + 1):
        for _ in range(20):
            httpx.get(f"{service.url}/api/v1/limits")
        upload(service)
        kill_all(service.serving(), measured)
        metrics = measured.scrape_anew()
        assert [
            sample
            for sample, value in before.samples.items()
            if re.search("_(total|bucket|count|sum)$", sample.name)
            and metrics.samples.get(sample, 0) < value
        ] == []
        before = metrics
        limits = {"route": "/api/v1/limits", "status": "2xx"}
        assert grown("http_request_duration_seconds_count", **limits) == 20 * number
        assert grown("images_uploaded_total") == number
        assert grown("process_starts_total", kind="service") == 2 * number
        assert grown("process_ends_total", kind="service", how="killed") == 2 * number
    assert {file.name for file in measured.folder.iterdir()} == files
    assert before.value("build_info", version=__version__, schema=HEAD) == 1


def test_the_metrics_process_may_end_and_no_count_is_lost(measured: Measured) -> None:
    before = measured.scrape_anew()
    delete(measured.service, upload(measured.service))
    killed = measured.metrics_process()
    kill_all([killed], measured)
    metrics = measured.scrape_anew()
    for name in ("images_uploaded_total", "images_deleted_total", "process_ends_total"):
        assert metrics.value(name) == before.value(name) + 1
    assert measured.metrics_process() != killed


def test_a_stopped_process_holds_up_no_scrape_and_a_stopped_scrape_no_request(
    measured: Measured,
) -> None:
    before = measured.scrape_anew().value("images_uploaded_total")
    upload(measured.service)
    stopped = [*measured.service.serving(), *measured.service.workers()]
    for process in stopped:
        process.suspend()
    try:
        wait_until(lambda: measured.scrape().value("images_uploaded_total") == before + 1)
    finally:
        for process in stopped:
            process.resume()
    measured.metrics_process().suspend()
    try:
        assert upload(measured.service)
    finally:
        measured.metrics_process().resume()


def test_gauges_are_of_the_processes_that_run(measured: Measured) -> None:
    with httpx.Client(base_url=measured.service.url) as client:
        client.get("/health/live")
        wait_until(lambda: measured.scrape().value("connections", state="idle") == 1)
        kill_all(measured.service.serving(), measured)
        wait_until(lambda: measured.scrape().value("connections", state="idle") == 0)


def test_a_hostile_scraper_neither_stops_the_service_nor_other_scrapes(measured: Measured) -> None:
    host, _, port = measured.address.rpartition(":")
    before = measured.metrics_process()
    silent = [socket.create_connection((host, int(port))) for _ in range(100)]
    try:
        silent[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
        measured.scrape()  # accepted after all of them, most of which are closed by then
        with ThreadPoolExecutor(20) as pool:
            scrapes = list(pool.map(lambda _: measured.scrape(), range(200)))
        assert len(scrapes) == 200
        for path in ("/", "/docs", "/openapi.json", "/api/v1/images", f"/{'x' * 1000}"):
            assert httpx.get(f"http://{measured.address}{path}").status_code == 404
        assert httpx.post(f"http://{measured.address}/metrics", content=b"x").status_code == 405
        assert upload(measured.service)
    finally:
        for connection in silent:
            connection.close()
    assert measured.metrics_process() == before


def test_the_folder_is_removed_when_the_service_stops_or_at_the_next_start_after_a_kill(
    start: StartService,
) -> None:
    settings = ("METRICS_ADDRESS=127.0.0.1:0",)
    killed = Measured(start(*settings).wait_until_it_serves())
    left, processes = killed.folder, []
    for process in killed.service.all_processes():
        with suppress(psutil.NoSuchProcess):  # those of PostgreSQL come and go
            if process.name() != "postgres":
                processes.append(process)
    killed.service.main.kill()
    assert_ended(processes)
    stopped = Measured(start(*settings).wait_until_it_serves())
    assert not left.exists()
    folder = stopped.folder
    assert folder.exists()
    stopped.service.stop()
    assert not folder.exists()


def test_the_public_listener_has_no_metrics(measured: Measured) -> None:
    assert httpx.get(f"{measured.service.url}/metrics").status_code == 404


def test_pages_of_others_read_nothing_by_a_name_that_leads_here(measured: Measured) -> None:
    for path in ("/metrics", "/status"):
        answer = httpx.get(f"http://{measured.address}{path}", headers={"Host": "other.example"})
        assert answer.status_code == 421
        assert "image_host_" not in answer.text


def test_an_address_in_use_is_reported(database_url: URL, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}"
        line = refused_start(database_url, tmp_path, "-m", "app", METRICS_ADDRESS=address)
    assert line == f"Port {port} of 127.0.0.1 is in use; set METRICS_ADDRESS.\n"


WITHOUT_CLIENT = """
import runpy, sys
sys.modules["prometheus_client"] = None
runpy.run_module("app", run_name="__main__", alter_sys=True)
"""
"""`python -m app` where this package is not installed."""


def test_without_its_package_the_start_says_how_to_install_it(
    database_url: URL, tmp_path: Path
) -> None:
    line = refused_start(
        database_url, tmp_path, "-c", WITHOUT_CLIENT, METRICS_ADDRESS="127.0.0.1:0"
    )
    assert line == "METRICS_ADDRESS needs the package prometheus-client: make metrics\n"
