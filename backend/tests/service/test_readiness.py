"""`/health/ready` over real dependencies: what asking costs them, and what it says if they hang."""

import ctypes
import os
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from app.services import readiness
from app.storage.local.backend import THREADS
from testkit import samples
from testkit.database_proxy import DatabaseProxy
from testkit.host import Host, hosting
from testkit.live import TIMEOUT, wait_until
from testkit.problems import assert_problem
from testkit.settings import make_settings

READY = "/health/ready"
IN_CREATE = 0x100
EVENT = struct.Struct("iIII")
"""`struct inotify_event` (inotify(7)); so many bytes of a name follow as its last field says."""


@pytest.fixture
def host(proxy: DatabaseProxy, database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with hosting(make_settings(proxy.url, tmp_path / "data"), database_url) as host:
        yield host


@contextmanager
def files_made_in(folder: Path) -> Iterator[Callable[[], int]]:
    """Let the system count the files that are made in a folder; gives how many since the last."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_CREATE) > 0

    def count() -> int:
        made = 0
        while True:
            try:
                events = os.read(descriptor, 1 << 16)
            except BlockingIOError:
                return made
            while events:
                *_, length = EVENT.unpack_from(events)
                events = events[EVENT.size + length :]
                made += 1

    yield count
    os.close(descriptor)


def test_asking_costs_database_and_storage_one_probe_a_second_however_often(
    host: Host, proxy: DatabaseProxy
) -> None:
    wait_until(lambda: host.client.get(READY).is_success)
    time.sleep(readiness.PROBE_INTERVAL)
    over = time.monotonic() + 3 * readiness.PROBE_INTERVAL

    def ask(method: str) -> int:
        asked = 0
        with httpx.Client(base_url=host.client.base_url, timeout=TIMEOUT) as client:
            while time.monotonic() < over or asked < 10:
                answer = client.request(method, READY)
                assert answer.status_code == 200, client.get(READY).text
                asked += 1
        return asked

    with files_made_in(host.images / "staging") as made, ThreadPoolExecutor(8) as pool:
        begin = time.monotonic()
        proxy.statements.clear()
        asked = sum(pool.map(ask, ["GET", "HEAD"] * 4))
        most = (time.monotonic() - begin) / readiness.PROBE_INTERVAL + 1
        probed = len([s for s in proxy.statements if "FROM images" in s])
        assert 1 <= probed <= most < asked
        assert 1 <= made() <= most


def test_a_database_that_hangs_is_reported_in_bounded_time_to_all_who_ask(
    host: Host, proxy: DatabaseProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: host.client.get(READY).is_success)
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 3.0)  # which the storage does not exceed
    proxy.hold()
    time.sleep(readiness.PROBE_INTERVAL)
    begin = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        for answer in pool.map(host.client.get, [READY] * 60):
            assert_problem(answer, 503, "not-ready")
            assert answer.json()["down"] == ["database"]
    assert time.monotonic() - begin < TIMEOUT
    proxy.release()
    wait_until(lambda: host.client.get(READY).is_success)


def test_a_storage_that_hangs_is_reported_in_bounded_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread of the storage reads from a pipe into which nobody writes."""
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 0.5)
    images = [host.upload(samples.jpeg()).json() for _ in range(THREADS)]
    pipes = [host.images / key[:2] / key for key in (image["storage_key"] for image in images)]
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    with ThreadPoolExecutor(THREADS) as pool:
        reading = [pool.submit(host.client.get, image["url"]) for image in images]
        try:
            wait_until(lambda: host.client.get(READY).json().get("down") == ["storage"])
            assert not any(read.done() for read in reading)
        finally:
            for pipe in pipes:
                pipe.open("wb").close()
        for read in reading:
            assert_problem(read.result(), 500, "image-damaged")
    wait_until(lambda: host.client.get(READY).is_success)
