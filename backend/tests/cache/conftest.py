"""A cache over a real server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.cache import redis_link
from app.cache.redis import RedisCache
from app.config.settings import Settings
from app.database.engine import Database
from testkit.cached_host import CachedHost, cached_host
from testkit.live import until
from testkit.programs import REDIS, needs_redis
from testkit.valkey import VALKEY, CacheServer, cache_server

PROGRAMS = [pytest.param(VALKEY, id="valkey"), pytest.param(REDIS, id="redis", marks=needs_redis)]


@pytest.fixture(autouse=True)
def _ample_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a busy machine take its time: 0.1 seconds are not tested here."""
    monkeypatch.setattr(redis_link, "OPERATION_SECONDS", 1.0)


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path, request.param) as server:
        yield server


@pytest.fixture
async def cache(server: CacheServer) -> AsyncIterator[RedisCache]:
    """Yield a cache that is connected, and whose values expire after 300 seconds."""
    cache = RedisCache(server.url, 300)
    cache.connect()
    await until(lambda: cache.figures.is_available)
    yield cache
    await cache.close()


@pytest.fixture
async def host(settings: Settings, database: Database, tmp_path: Path) -> AsyncIterator[CachedHost]:
    with cache_server(tmp_path) as server:
        async with cached_host(settings, database, server) as host:
            yield host
