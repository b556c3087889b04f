"""Faults of the cache: it may lose anything; what it still has and is stale must not be used."""

import time
from contextlib import suppress
from random import Random
from typing import Final

from redis.exceptions import ConnectionError as Disconnected

from testkit.torture.processes import kill
from testkit.torture.service import Service
from testkit.valkey import CacheServer

SHORT_SECONDS: Final = (0.0, 2.5)
"""From nothing to more than a service trusts a cache that it cannot reach."""


class CacheFaults:
    """Kills and stops of a cache.

    Args:
        service: It uses the cache.
        cache: The cache.
        chance: Chooses.
    """

    def __init__(self, service: Service, cache: CacheServer, chance: Random) -> None:
        self._service = service
        self._cache = cache
        self._chance = chance
        self.kills = [
            self.kill_cache,
            self.restore_cache,
            self.flush_cache,
            self.cut_off_cache,
            self.kill_a_server_process_while_cache_hangs,
        ]
        self.stops = [self.stop_cache]

    def kill_cache(self) -> None:
        """Let it begin anew, and empty."""
        self._cache.kill()
        self._wait()
        self._cache.start()

    def restore_cache(self) -> None:
        """Let it begin with what it had some time before it was killed."""
        self._cache.ask("SAVE")
        self._wait()
        self._cache.kill()
        self._cache.start()
        self._cache.snapshot.unlink()

    def flush_cache(self) -> None:
        """Let it lose all, tombstones too."""
        self._cache.ask("FLUSHALL")

    def cut_off_cache(self) -> None:
        """Close every connection, whatever is on its way."""
        with suppress(Disconnected):
            self._cache.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def kill_a_server_process_while_cache_hangs(self) -> None:
        """Some of its changes are committed, and nobody can be sure that the cache was told."""
        with self._cache.stopped():
            self._wait()
            kill(self._chance.choice(self._service.servers()))
            self._wait()

    def stop_cache(self, seconds: float) -> None:
        """Let all that ask it wait; then it carries out what they asked."""
        with self._cache.stopped():
            time.sleep(seconds)

    def _wait(self) -> None:
        time.sleep(self._chance.uniform(*SHORT_SECONDS))
