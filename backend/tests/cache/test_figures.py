"""Whether the cache can be used is found out as anybody asks."""

import asyncio
from pathlib import Path

import pytest

from app.cache import redis_connections
from app.cache.redis import RedisCache
from app.database.engine import Database
from app.observability.figures import Dependency
from app.services import reading
from app.services.figures import FigureReader
from app.storage.memory import MemoryStorage
from testkit.figures import open_reader
from testkit.live import TIMEOUT
from testkit.valkey import cache_server


async def reach(reader: FigureReader, *, is_up: bool) -> Dependency:
    """Read until the cache can be used, or cannot."""
    async with asyncio.timeout(TIMEOUT):
        while (found := (await reader.read()).cache) is None or found.is_up != is_up:
            pass
    return found


async def test_a_cache_is_up_until_it_ends_and_again_when_it_is_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "INTERVAL", 0.05)
    monkeypatch.setattr(reading, "FIRST_DEADLINE", TIMEOUT)
    monkeypatch.setattr(redis_connections, "MAX_PAUSE", 0.1)
    with cache_server(tmp_path) as server:
        cache = RedisCache(server.url, 300)
        async with open_reader(database, MemoryStorage(), cache) as reader:
            up = await reach(reader, is_up=True)
            assert up.reason == ""
            server.kill()
            down = await reach(reader, is_up=False)
            assert down.reason
            assert down.since > up.since
            server.start()
            assert (await reach(reader, is_up=True)).since > down.since
        await cache.close()
