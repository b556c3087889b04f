"""What becomes unavailable is one line of each process, and another when it is back.

Nobody asks `/health/ready` here: requests and jobs that fail are enough.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.composition.worker import open_worker
from app.database import engine
from app.queue import upkeep
from app.services import readiness
from testkit import samples
from testkit.database_proxy import DatabaseProxy
from testkit.host import Host, hosting
from testkit.live import until, wait_until
from testkit.logs import Log, logging_to
from testkit.service import (
    StartService,
    connections_to_all_processes,
    storage_unavailable,
)
from testkit.settings import make_settings
from testkit.sockets import UPLOAD

JPEG = samples.jpeg()
REQUESTS = 5


@pytest.fixture
def log() -> Iterator[Log]:
    with logging_to() as log:
        yield log


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner than is wise, to save time."""
    for name in ("POOL_TIMEOUT", "CONNECT_TIMEOUT", "COMMAND_TIMEOUT"):
        monkeypatch.setattr(engine, name, 3.0)


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than is wise, to save time."""
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.3)
    monkeypatch.setattr(upkeep, "BEAT_SECONDS", 0.3)


@pytest.fixture
def host(proxy: DatabaseProxy, database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with hosting(make_settings(proxy.url, tmp_path / "data"), database_url) as host:
        yield host


def changes(log: Log) -> list[str]:
    """Return all lines that say what can be used and what not, without reasons and times."""
    lines = [line["message"] for line in log.about(" is ")]
    found = (
        re.match(r"the \w+ is (unavailable(?=: )|available again after \d+\.\d s)", one)
        for one in lines
    )
    return [re.sub(r"\d+\.\d", "N", one[0]) for one in found if one]


def lost_and_found(name: str) -> list[str]:
    return [f"the {name} is unavailable", f"the {name} is available again after N s"]


def probes(proxy: DatabaseProxy) -> list[str]:
    """Return the statements by which it was checked whether the database can be used."""
    return [
        one for one in proxy.statements if re.search(r"FROM images\s+LIMIT \S+ FOR UPDATE", one)
    ]


def test_a_database_that_hangs_is_two_lines_however_many_requests_fail(
    short_timeouts: None, host: Host, proxy: DatabaseProxy, log: Log
) -> None:
    proxy.hold()
    with ThreadPoolExecutor(REQUESTS) as pool:
        for answer in pool.map(host.client.get, ["/api/v1/images"] * REQUESTS):
            assert answer.status_code == 503
    wait_until(lambda: changes(log) == lost_and_found("database")[:1])
    proxy.release()
    wait_until(lambda: len(changes(log)) > 1)
    assert host.client.get("/api/v1/images").status_code == 200
    assert changes(log) == lost_and_found("database")
    [lost] = log.about("the database is unavailable")
    assert f"127.0.0.1:{proxy.port}: " in lost["message"]
    assert lost["level"] == "WARNING"


def test_a_connection_that_breaks_once_is_no_change(
    host: Host, proxy: DatabaseProxy, log: Log
) -> None:
    assert host.client.get("/api/v1/images").is_success
    proxy.statements.clear()
    proxy.cut("SELECT", "after")
    assert host.client.get("/api/v1/images").status_code == 503
    wait_until(lambda: len(probes(proxy)) >= 2)
    assert changes(log) == []


def test_a_storage_that_is_away_is_two_lines_however_many_requests_fail(
    host: Host, log: Log
) -> None:
    aside = host.images.with_name("aside")
    shutil.move(host.images, aside)
    for _ in range(REQUESTS):
        assert host.upload(JPEG).status_code == 503
    wait_until(lambda: changes(log) == lost_and_found("storage")[:1])
    shutil.move(aside, host.images)
    wait_until(lambda: len(changes(log)) > 1)
    assert host.upload(JPEG).status_code == 201
    assert changes(log) == lost_and_found("storage")


def test_what_nothing_is_wrong_with_is_not_asked(host: Host, proxy: DatabaseProxy) -> None:
    """A request that fails by its own fault, or succeeds, costs no probe."""
    wait_until(lambda: host.client.get("/api/v1/images").is_success)
    proxy.statements.clear()
    assert host.client.get(f"/api/v1/images/{'0' * 8}-0000-0000-0000-{'0' * 12}").status_code == 404
    assert host.upload(b"no image").status_code == 400
    assert host.upload(JPEG).status_code == 201
    assert not probes(proxy)


async def test_a_worker_says_once_that_it_has_no_database(
    short_timeouts: None, proxy: DatabaseProxy, tmp_path: Path, log: Log
) -> None:
    async def beat() -> None:
        """Do nothing: nobody watches."""

    stopping = asyncio.Event()
    settings = make_settings(proxy.url, tmp_path / "data", thumbnail_sizes=())
    async with open_worker(settings) as worker:
        running = asyncio.create_task(worker.run(stopping, beat))
        await until(lambda: log.about("takes jobs"))
        proxy.hold()
        await until(lambda: changes(log) == lost_and_found("database")[:1])
        proxy.release()
        await until(lambda: len(changes(log)) > 1)
        stopping.set()
        await running
    assert changes(log) == lost_and_found("database")


def test_each_process_of_a_service_says_it_once(start: StartService) -> None:
    service = start("WORKERS=2").wait_until_it_serves()
    with connections_to_all_processes(service) as clients:
        with storage_unavailable(service):
            for client in clients * REQUESTS:
                assert client.post(UPLOAD, files={"file": JPEG}).status_code == 503
            wait_until(lambda: service.output.count("the storage is unavailable: ") >= 2)
        wait_until(lambda: service.output.count("the storage is available again after ") >= 2)
    for words in ("the storage is unavailable: ", "the storage is available again after "):
        assert service.output.count(words) == 2
