"""A cache whose operations are measured (ADR 71)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

from app.cache.base import Cache, CacheFigures, Lookup
from app.observability.observer import Observer


class MeasuredCache:
    """Does what another cache does.

    Args:
        cache: The other one.
        observer: Told how long each operation takes, what was found, and what has failed.
    """

    def __init__(self, cache: Cache, observer: Observer) -> None:
        self._cache = cache
        self._observer = observer
        self._known = cache.figures

    @property
    def figures(self) -> CacheFigures:
        """What this process has seen of the cache."""
        return self._cache.figures

    def connect(self) -> None:
        """Begin to connect, in the background."""
        self._cache.connect()

    async def lookup(self, keys: Sequence[str]) -> Lookup:
        """Return what is there."""
        with self._observed("lookup"):
            return await self._cache.lookup(keys)

    async def fill(self, lookup: Lookup, values: Mapping[str, bytes]) -> None:
        """Add values that were read after `lookup`."""
        with self._observed("fill"):
            await self._cache.fill(lookup, values)

    async def invalidate(self, keys: Sequence[str], seconds: int) -> None:
        """Remove values, and let none be filled for so many seconds."""
        with self._observed("invalidate"):
            await self._cache.invalidate(keys, seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._cache.close()

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Observe an operation, and what the cache has counted since the one before."""
        begun = perf_counter()
        try:
            yield
        finally:
            self._observer.cache_operation(operation, perf_counter() - begun)
            known, self._known = self._known, self._cache.figures
            hits, misses = self._known.hits - known.hits, self._known.misses - known.misses
            if hits or misses:
                self._observer.cache_lookups(hits, misses)
            for _ in range(self._known.errors - known.errors):
                self._observer.cache_error()
