"""A server that fails in any way makes nothing stale and no request wait for long."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import log2
from pathlib import Path
from time import monotonic

import pytest

from app.cache import redis, redis_connections, redis_link
from app.cache.base import Lookup
from app.cache.redis import RedisCache
from app.domain.errors import CacheUnavailable
from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, until
from testkit.programs import REDIS, needs_openssl, needs_redis
from testkit.relay import Relay, relaying
from testkit.tls import make_certificate
from testkit.valkey import CacheServer, cache_server, short_operations

POLICIES = (
    *("noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random"),
    *("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"),
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CacheServer]:
    with cache_server(tmp_path) as server:
        yield server


@pytest.fixture
async def relay(server: CacheServer) -> AsyncIterator[Relay]:
    """Yield what is between the cache and its server."""
    async with relaying(server.url) as (server.url, relay):
        yield relay


@pytest.fixture
async def cache(relay: Relay, server: CacheServer) -> AsyncIterator[RedisCache]:
    """Yield a cache that is connected, and has one value."""
    cache = RedisCache(server.url, 300)
    cache.connect()
    await until(lambda: cache.figures.is_available)
    await cache.fill(await cache.lookup(["a"]), {"a": b"1"})
    yield cache
    await cache.close()


async def find(cache: RedisCache, key: str = "a") -> bytes | None:
    """Look something up as soon as the cache is available."""
    await until(lambda: cache.figures.is_available)
    return (await cache.lookup([key])).found.get(key)


async def assert_unavailable(cache: RedisCache) -> None:
    lookup = await cache.lookup(["a"])
    assert lookup == Lookup({}, None)
    await cache.fill(lookup, {"a": b"2"})
    with pytest.raises(CacheUnavailable):
        await cache.invalidate(["a"], 10)
    assert not cache.figures.is_available


async def test_a_killed_server_is_used_again_when_it_is_back_with_one_line_each_way(
    cache: RedisCache, server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    for _ in range(50):
        await assert_unavailable(cache)
    server.start()
    assert await find(cache) is None
    lost, found = caplog.messages
    assert lost.startswith("the cache is unavailable: ConnectionError: ")
    assert re.fullmatch(r"the cache is available again after \d+\.\d s", found)


async def test_while_a_server_hangs_only_the_first_operations_wait(
    cache: RedisCache, server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    with server.stopped():
        await asyncio.gather(*[assert_unavailable(cache) for _ in range(50)])
        waited = cache.figures.errors
        assert 1 <= waited <= 50
        for _ in range(1000):
            await assert_unavailable(cache)
        assert cache.figures.errors == waited
    assert await find(cache) == b"1"
    lost, found = caplog.messages
    assert lost == "the cache is unavailable: no answer in time"
    assert found.startswith("the cache is available again after ")


async def test_a_fill_that_lay_in_the_socket_of_a_stopped_server_is_refused(
    cache: RedisCache, server: CacheServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "FENCE_SECONDS", 1)
    lookup = await cache.lookup(["b"])
    with server.stopped():
        await cache.fill(lookup, {"b": b"old"})
        await asyncio.sleep(0.1)
    assert await find(cache, "b") is None
    assert await find(cache, "a") == b"1"


async def test_a_slow_server_is_used_again_when_it_is_fast_enough(
    cache: RedisCache, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    # What is being opened before the block may take longer.
    await until(lambda: len(cache._links._links) == redis_connections.CONNECTIONS)
    with short_operations():
        relay.delay = 1.2
        await assert_unavailable(cache)
        await asyncio.sleep(2.5)
        await assert_unavailable(cache)
        relay.delay = 0
    assert await find(cache) == b"1"
    assert len(caplog.messages) == 2


async def test_cut_connections_are_replaced(cache: RedisCache, relay: Relay) -> None:
    for _ in range(3):
        relay.cut()
        while (await cache.lookup(["a"])).found:  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.01)
        assert await find(cache) == b"1"


async def test_a_server_that_drops_idle_connections_stays_available(
    server: CacheServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(redis_connections, "IDLE_SECONDS", 0.2)
    cache = RedisCache(server.url, 300)
    cache.connect()

    def used_lately() -> list[bool]:
        connections = [one for one in server.ask("CLIENT LIST") if one["cmd"] == "get"]
        return [int(one["age"]) >= 3 and int(one["idle"]) <= 1 for one in connections]

    await until(lambda: used_lately() == [True] * redis_connections.CONNECTIONS)
    await cache.close()
    assert caplog.messages == []


async def test_a_server_that_cannot_be_reached_at_first_is_used_when_it_can(
    relay: Relay, server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    relay.is_broken = True
    cache = RedisCache(server.url, 300)
    await assert_unavailable(cache)
    relay.is_broken = False
    assert await find(cache) is None
    assert len(caplog.messages) == 2
    await cache.close()


async def test_the_longer_a_server_is_unavailable_the_less_often_it_is_asked(
    relay: Relay, server: CacheServer
) -> None:
    relay.is_broken = True
    cache = RedisCache(server.url, 300)
    began = monotonic()
    while monotonic() < began + 3.5:
        await assert_unavailable(cache)
        await asyncio.sleep(0.1)
    await cache.close()
    # Twice at once, after 1 second, after 2, and on a machine that was stopped after 4 more.
    assert 2 <= relay.accepted <= 2 + log2(1 + monotonic() - began)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(b"+OK\r\n" * 9, id="other answers"),
        pytest.param(b":1\r\n" * 9, id="numbers"),
        pytest.param(b"*0\r\n" * 9, id="empty lists"),
        pytest.param(b"$-1\r\n" * 9, id="nothing"),
        pytest.param(b"*1\r\n$3\r\nabc\r\n" * 9, id="too few"),
        pytest.param(b"-WRONG answer\r\n" * 9, id="errors"),
        pytest.param(b"\x00\xff" * 99, id="noise"),
    ],
)
async def test_garbage_is_no_answer(cache: RedisCache, relay: Relay, answer: bytes) -> None:
    with short_operations():
        relay.alter = lambda _answer: answer
        for _ in range(3):
            lookup = await cache.lookup(["a"])
            assert lookup == Lookup({}, None)
        await asyncio.sleep(0.1)
        await assert_unavailable(cache)
        relay.alter = bytes
    assert await find(cache) == b"1"


async def test_a_restart_from_a_snapshot_brings_back_nothing(
    cache: RedisCache, server: CacheServer
) -> None:
    server.ask("SAVE")
    await cache.invalidate(["a"], 10)
    server.kill()
    server.start()
    assert server.ask("KEYS", "*:a")
    assert await find(cache) is None


async def test_a_failover_to_a_replica_that_lacks_an_invalidation_brings_back_nothing(
    cache: RedisCache, server: CacheServer, relay: Relay, tmp_path: Path
) -> None:
    early = await cache.lookup(["b"])
    async with replica_of(server, tmp_path) as replica:
        replica.ask("REPLICAOF", "NO", "ONE")
        await cache.invalidate(["a", "b"], 10)
        server.stop()
        relay.port = replica.port
        relay.cut()
        await cache.fill(early, {"b": b"old"})
        assert await find(cache) is None
        assert replica.ask("KEYS", "*:a")
        await cache.fill(early, {"b": b"old"})
        assert await find(cache, "b") is None


async def reconnected(cache: RedisCache, relay: Relay, known: int) -> None:
    """Use the cache until it has connections after those that are known."""
    async with asyncio.timeout(TIMEOUT):
        while not (relay.accepted > known and cache.figures.is_available):
            await cache.lookup(["a"])
            await asyncio.sleep(0.01)


async def test_a_server_that_becomes_the_primary_again_brings_back_nothing(
    cache: RedisCache,
    server: CacheServer,
    relay: Relay,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_link, "KEYS_AT_ONCE", 1)
    keys = ["a", *map(str, range(50))]
    await cache.fill(await cache.lookup(keys), dict.fromkeys(keys, b"1"))
    assert len((await cache.lookup(keys)).found) == 51
    async with replica_of(server, tmp_path) as replica:
        replica.ask("REPLICAOF", "NO", "ONE")
        server.ask("REPLICAOF", "127.0.0.1", replica.port)
        relay.port, known = replica.port, relay.accepted
        relay.cut()
        await reconnected(cache, relay, known)
        await cache.invalidate(keys, 10)
        await until(lambda: server.ask("ROLE")[3] == b"connected")
        replica.ask("WAIT", 1, 5000)
        server.ask("REPLICAOF", "NO", "ONE")
        relay.port, known = server.port, relay.accepted
        replica.kill()
        assert server.ask("KEYS", "*:a")
        await reconnected(cache, relay, known)
        assert (await cache.lookup(keys)).found == {}


async def test_a_primary_that_becomes_a_replica_is_not_used(
    cache: RedisCache, server: CacheServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with replica_of(server, tmp_path) as replica:
        replica.ask("REPLICAOF", "NO", "ONE")
        server.ask("REPLICAOF", "127.0.0.1", replica.port)
        assert await cache.lookup(["a"]) == Lookup({}, None)
        await asyncio.sleep(1.5)
        await assert_unavailable(cache)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_full_server_fills_nothing_that_is_old(policy: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as opened:
        options = {"maxmemory": "4mb", "maxmemory-policy": policy}
        server = opened.enter_context(cache_server(tmp_path, **options))
        cache = RedisCache(server.url, 300)
        opened.push_async_callback(cache.close)
        cache.connect()
        await until(lambda: cache.figures.is_available)
        for name in range(8):
            changed = [f"{name}-{number}" for number in range(20)]
            early = await cache.lookup(changed)
            await cache.invalidate(changed, 60)
            for number in range(100):
                key = f"{name}/{number}"
                await cache.fill(await cache.lookup([key]), {key: b"x" * 10_000})
            await cache.fill(early, dict.fromkeys(changed, b"old"))
            assert (await cache.lookup(changed)).found == {}
        assert cache.figures.is_available
        assert (cache.figures.errors > 0) == (policy == "noeviction")


async def test_a_login_is_used_and_never_logged(
    server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("ACL", "SETUSER", "web", "on", ">se/c@r:et", "~*", "+@all")
    server.ask("ACL", "SETUSER", "default", "off")
    address = server.url.removeprefix("redis://")
    right = RedisCache(f"redis://web:se%2Fc%40r%3Aet@{address}", 300)
    await right.invalidate(["a"], 10)
    await right.close()
    assert caplog.messages == []
    wrong = RedisCache(f"redis://web:se%2Fc%40r%3Aex@{address}", 300)
    with pytest.raises(CacheUnavailable):
        await wrong.invalidate(["a"], 10)
    await wrong.close()
    (line,) = caplog.messages
    assert "WRONGPASS" in line or "invalid username-password" in line
    assert not {"se/c@r:e", "se%2Fc"} & set(line.split()), line
    assert "r:e" not in caplog.text


async def test_a_clock_that_was_set_back_lets_nothing_be_filled(cache: RedisCache) -> None:
    found, permit = await cache.lookup(["b"])
    assert isinstance(permit, redis._Permit)
    ahead = permit._replace(seconds=b"%d" % (int(permit.seconds) + 60))
    await cache.fill(Lookup(found, ahead), {"b": b"old"})
    assert await find(cache, "b") is None


@asynccontextmanager
async def replica_of(server: CacheServer, folder: Path) -> AsyncIterator[CacheServer]:
    """Run a replica that has all that the server has."""
    with cache_server(folder, dbfilename="replica.rdb") as replica:
        server.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        replica.ask("REPLICAOF", "127.0.0.1", server.port)
        await until(lambda: replica.ask("DBSIZE") == server.ask("DBSIZE"))
        yield replica


@needs_redis
@needs_openssl
async def test_tls_is_used_and_the_certificate_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = make_certificate(tmp_path)
    port = lasting_port()
    options = {"tls-port": str(port), "tls-cert-file": str(certificate)}
    options |= {"tls-key-file": str(key), "tls-auth-clients": "no"}
    with cache_server(tmp_path, REDIS, **options):
        trusting = RedisCache(f"rediss://localhost:{port}?ssl_ca_certs={certificate}", 300)
        await trusting.invalidate(["a"], 10)
        await trusting.close()
        suspicious = RedisCache(f"rediss://localhost:{port}", 300)
        with pytest.raises(CacheUnavailable):
            await suspicious.invalidate(["a"], 10)
        await suspicious.close()
    (line,) = caplog.messages
    assert "certificate" in line


async def test_a_server_is_reached_by_its_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with cache_server(tmp_path, unixsocket=str(path)):
        cache = RedisCache(f"unix://{path}", 300)
        await cache.invalidate(["a"], 10)
        await cache.close()
