"""`/status` of a service that runs: what fails is named, and the page answers all the same."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import __version__
from app.database.revisions import HEAD
from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.processes import hanging_database
from testkit.service import JPEG, Service, StartService, make, storage_unavailable, upload
from testkit.valkey import cache_server

JSON = {"Accept": "application/json"}
SECRET = "correct-horse-battery"

Ask = Callable[[], dict[str, Any]]


@contextmanager
def asking(start: StartService, *settings: str) -> Iterator[tuple[Service, Ask]]:
    """Start a service; yield it, and what asks for its status."""
    address = f"127.0.0.1:{lasting_port()}"
    service = start(f"METRICS_ADDRESS={address}", *settings).wait_until_it_serves()
    with httpx.Client(base_url=f"http://{address}", timeout=TIMEOUT) as client:

        def ask() -> dict[str, Any]:
            response = client.get("/status", headers=JSON)
            assert response.status_code == httpx.codes.OK
            status: dict[str, Any] = response.json()
            return status

        wait_until(lambda: ask()["state"] != "unknown")
        yield service, ask


def rows_of(status: dict[str, Any]) -> list[str]:
    """Return which rows of the manual it names."""
    return [trouble["manual"].partition("#")[2] for trouble in status["troubles"]]


def test_a_service_that_is_well_says_what_it_has_and_does(
    start: StartService, project: Path
) -> None:
    with asking(start, "WORKERS=2", "WORKER_PROCESSES=1") as (service, ask):
        upload(service)
        done = make(project, "fsck", "ARGS=--checksums", f"DATA_DIR={service.data_dir}")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: ask()["recent"]["requests"] > 0)
        wait_until(lambda: ask()["maintenance"]["fsck_at"])
        wait_until(lambda: ask()["stored"] == {"images": 1, "bytes": len(JPEG)})
        kinds = ["metrics", "service", "service", "worker"]
        wait_until(lambda: sorted(one["kind"] for one in ask()["processes"]) == kinds)
        status = ask()
        assert status["troubles"] == []
        assert status["state"] == "well"
        assert status["database"]["is_up"]
        assert status["storage"]["is_up"]
        assert status["cache"] is None
        assert 0 < status["disk"]["free"] < status["disk"]["size"]
        assert status["versions"]["service"] == __version__
        assert status["versions"]["schema_revision"] == HEAD
        assert {one["pid"] for one in status["processes"] if one["kind"] == "service"} == {
            process.pid for process in service.serving()
        }


def test_a_database_that_hangs_is_named_and_so_is_its_return(start: StartService) -> None:
    with asking(start) as (service, ask):
        with hanging_database(service.data_dir / "postgres"):
            wait_until(lambda: "database-down" in rows_of(ask()))
            status = ask()
            assert status["state"] == "urgent"
            assert status["database"]["reason"]
            assert status["storage"]["is_up"]
            assert status["processes"]
        wait_until(lambda: ask()["state"] == "well")
        (back, down) = (change for change in ask()["changes"] if change["subject"] == "database")
        assert down["at"] < back["at"]
        assert back["what"] == "The database can be used again"


def test_a_storage_that_is_lost_is_named(start: StartService) -> None:
    with asking(start) as (service, ask):
        with storage_unavailable(service):
            wait_until(lambda: "storage-down" in rows_of(ask()))
            assert "storage-id" in ask()["storage"]["reason"]
        wait_until(lambda: ask()["state"] == "well")


def test_a_cache_that_hangs_is_named_and_can_wait(start: StartService, tmp_path: Path) -> None:
    with cache_server(tmp_path) as server, asking(start, f"REDIS_URL={server.url}") as (_, ask):
        wait_until(lambda: (cache := ask()["cache"]) and cache["is_up"])  # once it has answered
        with server.stopped():
            wait_until(lambda: "cache-down" in rows_of(ask()))
            assert ask()["state"] == "later"


def test_processes_that_are_killed_are_named_with_how_they_ended(start: StartService) -> None:
    with asking(start, "WORKERS=2") as (service, ask):
        for count in range(1, 4):
            victim = service.serving()[0].pid
            os.kill(victim, signal.SIGKILL)
            killed = ["A server process was killed"] * count
            wait_until(lambda: [change["what"] for change in ask()["changes"]] == killed)  # noqa: B023
            wait_until(lambda: len(service.serving()) == 2)
        wait_until(lambda: "processes-restarting" in rows_of(ask()))
        assert ask()["state"] == "later"


@pytest.mark.parametrize("path", ["/status", "/metrics"])
def test_nothing_of_it_is_served_to_clients(start: StartService, path: str) -> None:
    with asking(start) as (service, _):
        assert httpx.get(f"{service.url}{path}").status_code == httpx.codes.NOT_FOUND


def test_browsers_get_a_page_that_loads_and_runs_nothing_and_has_no_secret(
    start: StartService,
) -> None:
    address = f"127.0.0.1:{lasting_port()}"
    settings = f"METRICS_ADDRESS={address}", f"API_KEY={SECRET}", f"SIGNING_KEY=a:{SECRET * 2}"
    start(*settings).wait_until_it_serves()
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = httpx.get(f"http://{address}/status", headers=accept)
    assert page.status_code == httpx.codes.OK
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha")
    assert page.headers["Cache-Control"] == "no-store"
    assert "Refresh" not in page.headers
    assert httpx.get(f"http://{address}/status?refresh").headers["Refresh"] == "10"
    document = httpx.get(f"http://{address}/status", headers=JSON).text
    assert SECRET not in page.text + document
