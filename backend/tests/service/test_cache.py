"""The service with a cache: how it starts, and what it says of it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.cache import redis_link
from testkit import samples
from testkit.host import Host, hosting
from testkit.live import TIMEOUT, wait_until
from testkit.service import refused_start
from testkit.settings import make_settings
from testkit.valkey import CacheServer, cache_server

WITHOUT_REDIS = """
import runpy, sys
sys.modules["redis"] = sys.modules["hiredis"] = None
runpy.run_module("app", run_name="__main__", alter_sys=True)
"""
"""`python -m app` where these packages are not installed."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path) as server:
        yield server


@pytest.fixture
def host(
    server: CacheServer, database_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    monkeypatch.setattr(redis_link, "OPERATION_SECONDS", TIMEOUT)  # a late answer is an error
    settings = make_settings(database_url, tmp_path / "data", redis_url=SecretStr(server.url))
    with hosting(settings, database_url) as host:
        yield host


def ready(host: Host) -> httpx.Response:
    return host.client.get("/health/ready")


@pytest.mark.parametrize("command", [(), ("worker",), ("fsck",)])
def test_without_the_package_a_start_says_how_it_is_installed(
    command: tuple[str, ...], database_url: URL, tmp_path: Path
) -> None:
    line = refused_start(
        database_url, tmp_path, "-c", WITHOUT_REDIS, *command, REDIS_URL="redis://cache"
    )
    assert line.endswith("REDIS_URL needs the package redis: make cache\n")


def test_an_option_that_there_is_not_ends_the_start(database_url: URL, tmp_path: Path) -> None:
    line = refused_start(database_url, tmp_path, "-m", "app", REDIS_URL="redis://cache?max=pa55")
    assert line == "REDIS_URL is not as .env.example shows it\n"


def test_readiness_reports_the_cache_and_does_not_depend_on_it(
    host: Host, server: CacheServer
) -> None:
    wait_until(lambda: ready(host).json()["cache"]["available"])
    image_id = host.upload(samples.jpeg()).json()["id"]
    wait_until(lambda: read_twice(host, image_id)["hits"] > 0)
    seen = ready(host).json()["cache"]
    assert seen["misses"] > 0
    assert seen["errors"] == 0
    assert 0 < seen["mean_ms"] < 1000
    server.kill()
    wait_until(lambda: read_twice(host, image_id)["errors"] > 0)
    assert ready(host).status_code == 200
    assert not ready(host).json()["cache"]["available"]
    server.start()
    wait_until(lambda: ready(host).json()["cache"]["available"])


def read_twice(host: Host, image_id: str) -> dict[str, int]:
    """Read an image; return what is counted then."""
    for _ in range(2):
        assert host.client.get(f"/api/v1/images/{image_id}").status_code == 200
    counted: dict[str, int] = ready(host).json()["cache"]
    return counted


def test_without_a_cache_readiness_does_not_name_it(database_url: URL, tmp_path: Path) -> None:
    with hosting(make_settings(database_url, tmp_path / "data"), database_url) as host:
        assert "cache" not in ready(host).json()
