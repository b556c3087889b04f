"""What is observed of a cache. That it works as before is in `test_redis`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from app.cache.measured import MeasuredCache
from app.cache.redis import RedisCache
from app.domain.errors import CacheUnavailable
from app.observability.metrics.observer import MetricsObserver
from testkit.live import until
from testkit.valkey import CacheServer, cache_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path) as server:
        yield server


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def cache(server: CacheServer, registry: CollectorRegistry) -> AsyncIterator[MeasuredCache]:
    cache = MeasuredCache(RedisCache(server.url, 300), MetricsObserver(registry))
    cache.connect()
    await until(lambda: cache.figures.is_available)
    yield cache
    await cache.close()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"image_host_cache_{name}", labels)


async def test_what_is_found_is_counted_and_how_long_it_takes(
    cache: MeasuredCache, registry: CollectorRegistry
) -> None:
    lookup = await cache.lookup(["a", "b", "c"])
    await cache.fill(lookup, {"a": b"1"})
    assert (await cache.lookup(["a", "b"])).found == {"a": b"1"}
    await cache.invalidate(["a"], 1)
    assert value(registry, "lookups_total", result="hit") == 1
    assert value(registry, "lookups_total", result="miss") == 4
    assert value(registry, "errors_total") == 0
    count = "operation_duration_seconds_count"
    assert value(registry, count, operation="lookup") == 2
    assert value(registry, count, operation="fill") == 1
    assert value(registry, count, operation="invalidate") == 1


async def test_errors_are_counted(
    cache: MeasuredCache, registry: CollectorRegistry, server: CacheServer
) -> None:
    server.kill()
    assert (await cache.lookup(["a"])).found == {}
    assert value(registry, "errors_total") == 1
    with pytest.raises(CacheUnavailable):
        await cache.invalidate(["a"], 1)
    assert value(registry, "lookups_total", result="miss") is None, "nothing was looked up"
