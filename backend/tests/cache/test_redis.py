"""What a cache promises, over Valkey and over Redis."""

import asyncio

import pytest

from app.cache import redis
from app.cache.base import Cache, Lookup
from app.cache.redis import RedisCache
from app.domain.errors import CacheUnavailable
from testkit.valkey import CacheServer


async def test_what_was_filled_is_found(cache: Cache) -> None:
    lookup = await cache.lookup(["a", "b"])
    assert lookup.found == {}
    await cache.fill(lookup, {"a": b"\x00\xff", "b": b"2"})
    assert (await cache.lookup(["b", "c", "a"])).found == {"a": b"\x00\xff", "b": b"2"}


async def test_what_is_there_is_not_replaced(cache: Cache) -> None:
    first, second = await cache.lookup(["a"]), await cache.lookup(["a"])
    await cache.fill(first, {"a": b"1"})
    await cache.fill(second, {"a": b"2"})
    assert (await cache.lookup(["a"])).found == {"a": b"1"}


async def test_a_value_expires(cache: Cache, server: CacheServer) -> None:
    await cache.fill(await cache.lookup(["a"]), {"a": b"1"})
    (key,) = server.ask("KEYS", "*:a")
    assert 290 < server.ask("TTL", key) <= 300


async def test_an_invalidated_value_is_gone(cache: Cache) -> None:
    await cache.fill(await cache.lookup(["a", "b"]), {"a": b"1", "b": b"2"})
    await cache.invalidate(["a", "c"], 10)
    assert (await cache.lookup(["a", "b"])).found == {"b": b"2"}


async def test_what_was_looked_up_before_an_invalidation_or_soon_after_is_not_filled(
    cache: Cache,
) -> None:
    early = await cache.lookup(["a", "b"])
    await cache.invalidate(["a"], 10)
    await cache.fill(early, {"a": b"old", "b": b"2"})
    await cache.fill(await cache.lookup(["a"]), {"a": b"old"})
    assert (await cache.lookup(["a", "b"])).found == {"b": b"2"}


async def test_an_invalidation_ends(cache: Cache) -> None:
    await cache.invalidate(["a"], 1)

    async def is_filled() -> bool:
        await cache.fill(await cache.lookup(["a"]), {"a": b"new"})
        return "a" in (await cache.lookup(["a"])).found

    while not await is_filled():  # noqa: ASYNC110 - nothing sets an event
        await asyncio.sleep(0.1)


async def test_a_second_invalidation_does_not_end_the_first_one_sooner(
    cache: Cache, server: CacheServer
) -> None:
    await cache.invalidate(["a"], 60)
    await cache.invalidate(["a"], 10)
    (key,) = server.ask("KEYS", "*:")
    until = server.ask("ZSCORE", key, key + b"a")
    assert float(until) - server.ask("TIME")[0] > 50


async def test_what_was_invalidated_is_not_kept_for_ever(cache: Cache, server: CacheServer) -> None:
    await cache.invalidate([str(number) for number in range(100)], -10)
    await cache.invalidate(["a"], 10)
    (key,) = server.ask("KEYS", "*:")
    assert server.ask("ZCARD", key) == 2  # the generation, and "a"
    assert server.ask("TTL", key) > 60


async def test_nothing_is_filled_after_the_fence(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "FENCE_SECONDS", 1)
    lookup = await cache.lookup(["a"])
    await asyncio.sleep(1)
    await cache.fill(lookup, {"a": b"old"})
    assert (await cache.lookup(["a"])).found == {}


@pytest.mark.parametrize(
    "loss", [("FLUSHALL",), ("EVAL", "redis.call('DEL', redis.call('KEYS', '*:')[1])", 0)]
)
async def test_nothing_is_filled_after_the_invalidations_were_lost(
    cache: Cache, server: CacheServer, loss: tuple[str | int, ...]
) -> None:
    lookup = await cache.lookup(["a"])
    await cache.invalidate(["a"], 10)
    server.ask(*loss)
    await cache.fill(lookup, {"a": b"old"})
    while (new := await cache.lookup(["a"])).permit is None:
        assert new.found == {}
    await cache.fill(new, {"a": b"new"})
    assert (await cache.lookup(["a"])).found == {"a": b"new"}


async def test_without_a_permit_nothing_is_filled(cache: Cache) -> None:
    await cache.fill(Lookup({}, None), {"a": b"1"})
    assert (await cache.lookup(["a"])).found == {}


async def test_many_are_looked_up_filled_and_invalidated_at_once(cache: Cache) -> None:
    async def use(name: str) -> None:
        keys = [f"{name}{number}" for number in range(200)]
        lookup = await cache.lookup(keys)
        await cache.fill(lookup, dict.fromkeys(keys, name.encode() * 50))
        assert len((await cache.lookup(keys)).found) == 200
        await cache.invalidate(keys[:100], 10)
        assert (await cache.lookup(keys)).found == dict.fromkeys(keys[100:], name.encode() * 50)

    await asyncio.gather(*[use(f"{number}-") for number in range(10)])
    assert cache.figures.errors == 0


async def test_hits_misses_and_the_time_of_operations_are_counted(cache: Cache) -> None:
    await cache.fill(await cache.lookup(["a", "b"]), {"a": b"1"})
    await cache.lookup(["a", "b"])
    figures = cache.figures
    assert (figures.is_available, figures.hits, figures.misses, figures.errors) == (True, 1, 3, 0)
    assert 0 < figures.mean_ms < 1000


async def test_a_cancelled_operation_leaves_no_answers_to_the_next_one(
    cache: Cache, server: CacheServer, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.fill(await cache.lookup(["a", "b"]), {"a": b"1", "b": b"2"})
    for _ in range(10):
        server.stop()  # what is being opened may wait for it for as long as ever
        lookups = [asyncio.create_task(cache.lookup(["a"])) for _ in range(5)]
        await asyncio.sleep(0)
        for lookup in lookups:
            lookup.cancel()
        await asyncio.wait(lookups)
        server.resume()
        while not (await cache.lookup(["b"])).found:  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.01)
        assert (await cache.lookup(["b"])).found == {"b": b"2"}
    assert cache.figures.errors == 0
    assert caplog.messages == []


async def test_the_first_invalidation_waits_for_the_connection(server: CacheServer) -> None:
    cache = RedisCache(server.url, 300)
    await cache.invalidate(["a"], 10)
    await cache.close()


async def test_an_invalidation_that_is_not_done_is_an_error(
    cache: Cache, server: CacheServer
) -> None:
    server.kill()
    with pytest.raises(CacheUnavailable):
        await cache.invalidate(["a"], 10)
