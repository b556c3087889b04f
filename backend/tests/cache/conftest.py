"""A cache over a real server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.cache import redis, redis_connections, redis_link
from app.cache.base import Cache
from app.cache.measured import MeasuredCache
from app.cache.redis import RedisCache
from app.config.settings import Settings
from app.database.engine import Database
from app.observability.metrics.observer import MetricsObserver
from testkit.cached_host import CachedHost, cached_host
from testkit.live import TIMEOUT, until
from testkit.programs import REDIS, needs_redis
from testkit.valkey import VALKEY, CacheServer, cache_server

PROGRAMS = [pytest.param(VALKEY, id="valkey"), pytest.param(REDIS, id="redis", marks=needs_redis)]


@pytest.fixture(autouse=True)
def _ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time: a server that does not answer is waited for."""
    monkeypatch.setattr(redis_link, "OPERATION_SECONDS", TIMEOUT)
    monkeypatch.setattr(redis_link, "CONNECT_SECONDS", TIMEOUT)
    monkeypatch.setattr(redis_connections, "CONNECT_SECONDS", TIMEOUT)
    monkeypatch.setattr(redis, "FENCE_SECONDS", int(TIMEOUT))


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path, request.param) as server:
        yield server


@pytest.fixture(params=["alone", "measured"])
async def cache(server: CacheServer, request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    """Yield a cache that is connected, and whose values expire after 300 seconds."""
    cache: Cache = RedisCache(server.url, 300)
    if request.param == "measured":
        cache = MeasuredCache(cache, MetricsObserver(CollectorRegistry()))
    cache.connect()
    await until(lambda: cache.figures.is_available)
    yield cache
    await cache.close()


@pytest.fixture
async def host(settings: Settings, database: Database, tmp_path: Path) -> AsyncIterator[CachedHost]:
    with cache_server(tmp_path) as server:
        async with cached_host(settings, database, server) as host:
            yield host
