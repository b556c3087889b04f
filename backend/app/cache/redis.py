"""A cache in Redis or Valkey.

The keys of a server process begin with its `run_id`. Entries are strings. What was invalidated is
in one sorted set, whose scores are the seconds until when nothing may be filled, and whose last
member, the generation, is random: where the set was flushed or evicted, the next one has another
generation, and nothing that was looked up earlier is filled any more.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from secrets import token_hex
from time import perf_counter
from typing import Any, Final, NamedTuple

from app.cache.base import CacheFigures, Lookup
from app.cache.redis_connections import Links
from app.cache.redis_link import Command, Compose
from app.domain.errors import CacheUnavailable

FENCE_SECONDS: Final = 5
"""How long after a lookup its misses may be filled, by the server's clock."""

# A deletion comes first in it, since after one Redis carries out the rest even if memory is full.
_INVALIDATE: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZADD', KEYS[1], '+inf', ARGV[1]) end
redis.call('EXPIRE', KEYS[1], 86400)
local ends = now + 1 + tonumber(ARGV[2])
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  if tonumber(redis.call('ZSCORE', KEYS[1], KEYS[i]) or 0) < ends then
    redis.call('ZADD', KEYS[1], ends, KEYS[i])
  end
end
"""

# Returns 0 if the memory is full.
_FILL: Final = """
local now = redis.call('TIME')
local age = now[1] - ARGV[1] + (now[2] - ARGV[2]) / 1000000
if age < 0 or age > tonumber(ARGV[4]) then return 1 end
if not redis.call('ZSCORE', KEYS[1], ARGV[3]) then return 1 end
for i = 2, #KEYS do
  if tonumber(redis.call('ZSCORE', KEYS[1], KEYS[i]) or 0) <= tonumber(now[1]) then
    local set = redis.pcall('SET', KEYS[i], ARGV[i + 4], 'NX', 'EX', ARGV[5])
    if type(set) == 'table' and set.err then
      return string.find(set.err, 'OOM') and 0 or set
    end
  end
end
return 1
"""


class _Permit(NamedTuple):
    """When something was looked up, by the server's clock, and in which generation."""

    seconds: bytes
    microseconds: bytes
    generation: bytes


class RedisCache:
    """Keeps values in a Redis or Valkey that is a primary and no cluster.

    Args:
        url: As REDIS_URL.
        ttl_seconds: How long a value stays.

    Raises:
        ValueError: If the URL cannot be used.
    """

    def __init__(self, url: str, ttl_seconds: int) -> None:
        self._ttl_seconds = ttl_seconds
        self._links = Links(url, lambda namespace: [_invalidate(namespace, (), 0)])
        self._hits = 0
        self._misses = 0
        self._errors = 0
        self._operations = 0
        self._seconds = 0.0

    @property
    def figures(self) -> CacheFigures:
        """What this process has seen of the cache."""
        mean_ms = self._seconds * 1000 / self._operations if self._operations else 0.0
        return CacheFigures(
            self._links.is_available, self._hits, self._misses, self._errors, mean_ms
        )

    def connect(self) -> None:
        """Begin to connect in the background, and to connect again after each failure."""
        self._links.connect()

    async def lookup(self, keys: Sequence[str]) -> Lookup:
        """Return what is there; of a cache that is unavailable, nothing."""
        try:
            async with self._exchange(
                lambda namespace: [
                    ("MGET", *[f"{namespace}:{key}" for key in keys]),
                    ("TIME",),
                    ("ZRANGE", f"{namespace}:", -1, -1),
                    ("ROLE",),
                ]
            ) as (values, (seconds, microseconds), generation, (role, *_)):
                if role != b"master":  # it may have become a replica, whose primary changes it
                    raise ValueError("the server is a replica")
                pairs = zip(keys, values, strict=True)
                found = {key: value for key, value in pairs if value is not None}
            if not generation:
                await self.invalidate((), 0)
        except CacheUnavailable:
            return Lookup({}, None)
        self._hits += len(found)
        self._misses += len(keys) - len(found)
        return Lookup(found, _Permit(seconds, microseconds, *generation) if generation else None)

    async def fill(self, lookup: Lookup, values: Mapping[str, bytes]) -> None:
        """Add values that were read after `lookup`, unless their keys were invalidated since."""
        permit = lookup.permit
        if not isinstance(permit, _Permit) or not values:
            return

        arguments: Command = (*permit, FENCE_SECONDS, self._ttl_seconds, *values.values())

        def compose(namespace: str) -> Sequence[Command]:
            keys = [f"{namespace}:{key}" for key in values]
            return [("EVAL", _FILL, len(keys) + 1, f"{namespace}:", *keys, *arguments)]

        with suppress(CacheUnavailable):
            async with self._exchange(compose) as (had_room,):
                self._errors += not had_room

    async def invalidate(self, keys: Sequence[str], seconds: int) -> None:
        """Remove values, and let none be filled for so long.

        Raises:
            CacheUnavailable: If any may still be there, or may still be filled.
        """
        await self._links.wait_for_first()
        async with self._exchange(lambda namespace: [_invalidate(namespace, keys, seconds)]):
            pass

    async def close(self) -> None:
        """Close every connection."""
        await self._links.close()

    @asynccontextmanager
    async def _exchange(self, compose: Compose) -> AsyncIterator[list[Any]]:
        """Do as `Links.exchange`, and count."""
        begun = perf_counter()
        try:
            async with self._links.exchange(compose) as answers:
                yield answers
        except CacheUnavailable as error:
            self._errors += error.__cause__ is not None
            raise
        finally:
            self._operations += 1
            self._seconds += perf_counter() - begun


def _invalidate(namespace: str, keys: Sequence[str], seconds: int) -> Command:
    full = [f"{namespace}:{key}" for key in keys]
    return ("EVAL", _INVALIDATE, len(full) + 1, f"{namespace}:", *full, token_hex(8), seconds)
