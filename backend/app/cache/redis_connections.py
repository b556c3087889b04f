"""A few connections to a Redis or Valkey, opened in the background and dropped after any failure.

A request never waits for a connection to be opened, and not for long for an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any, Final

from redis.asyncio.connection import AbstractConnection, Connection, parse_url

from app.cache.redis_link import CONNECT_SECONDS, PRIMARY, Compose, Link, deadline
from app.domain.errors import CacheUnavailable
from app.observability.availability import Availability
from app.observability.reasons import reason

CONNECTIONS: Final = 3
IDLE_SECONDS: Final = 20.0
"""After so long without need, each connection is used once."""
MAX_PAUSE: Final = 30.0
"""Seconds between two attempts to connect, at most. The first one after a failure is made at once,
unless the server had been available for less than the next pause."""


class Links:
    """The connections of this process, all to one server process.

    Args:
        url: As REDIS_URL.
        prepare: Makes the first commands on each connection.

    Raises:
        ValueError: If the URL cannot be used.
    """

    def __init__(self, url: str, prepare: Compose) -> None:
        options: dict[str, Any] = {**parse_url(url), "protocol": 2, "retry_on_timeout": False}
        options |= {"socket_timeout": None, "socket_connect_timeout": None}
        self._make: Callable[..., AbstractConnection] = options.pop("connection_class", Connection)
        self._options = options
        try:
            self._make(**options)
        except TypeError as error:
            raise ValueError(str(error)) from error
        self._prepare = prepare
        self._links: set[Link] = set()
        self._free: asyncio.Queue[Link] = asyncio.Queue()
        self._was_tried = asyncio.Event()
        self._is_missing = asyncio.Event()
        self._availability = Availability("cache")
        self._since = 0.0
        self._pause = 0.0
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_available(self) -> bool:
        """Whether the server has answered in time when it was last asked."""
        return bool(self._links)

    def connect(self) -> None:
        """Begin to connect in the background, and to connect again after each failure."""
        if self._keeping is None:
            # It serves many requests, so it logs under the id of none.
            self._keeping = asyncio.create_task(self._keep_open(), context=Context())

    async def wait_for_first(self) -> None:
        """Wait until it is known whether the server can be reached, for `CONNECT_SECONDS`."""
        self.connect()
        if not self._was_tried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._was_tried.wait()

    @asynccontextmanager
    async def exchange(self, compose: Compose) -> AsyncIterator[list[Any]]:
        """Yield the answers to some commands, to a block that reads them.

        Raises:
            CacheUnavailable: If they are not there in time, or the block cannot read them; the
                commands may be carried out all the same.
        """
        self.connect()
        if not self._links:
            raise CacheUnavailable
        link = None
        try:
            async with deadline():
                link = await self._free.get()
                yield await link.exchange(compose)
        except BaseException as error:
            if link:
                await self._drop(link, error)
            if isinstance(error, Exception):
                raise CacheUnavailable from error
            raise
        if link in self._links:
            self._free.put_nowait(link)
        else:
            await link.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._keeping:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._drop_all()

    async def _keep_open(self) -> None:
        """Open what is missing: after a failure at once, then after longer and longer pauses."""
        while True:
            try:
                while len(self._links) < CONNECTIONS:
                    await self._add()
            except Exception as error:  # noqa: BLE001 - whatever it is, the cache can be spared
                await self._fail(error)
            self._was_tried.set()
            if self._links:
                await self._wait_until_missing()
            self._is_missing.clear()
            if not self._availability.is_available:
                await asyncio.sleep(self._pause)
                self._pause = min(max(1.0, 2 * self._pause), MAX_PAUSE)

    async def _wait_until_missing(self) -> None:
        """Wait until a connection is missing, and use those that there are every now and then.

        So none is idle for so long that the server, or the network, drops it; nor is the key that
        they ask for, by which the namespace is kept when a connection is opened anew.
        """
        while self._links and not self._is_missing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._is_missing.wait()
                    return
            for _ in range(CONNECTIONS):
                with suppress(CacheUnavailable):
                    async with self.exchange(lambda _: [("GET", PRIMARY)]):
                        pass

    async def _add(self) -> None:
        link = Link(self._make(**self._options))
        try:
            await link.open(self._prepare)
        except BaseException:
            await link.close()
            raise
        if any(other.namespace != link.namespace for other in self._links):
            await self._drop_all()
        if not self._links:
            self._since = monotonic()
        self._links.add(link)
        self._free.put_nowait(link)
        self._availability.regain()

    async def _drop(self, link: Link, error: BaseException) -> None:
        """Drop a connection, and if its server has failed, all of them."""
        is_current = link in self._links
        self._links.discard(link)
        await link.close()
        if is_current and isinstance(error, Exception):
            await self._fail(error)
        self._is_missing.set()

    async def _fail(self, error: Exception) -> None:
        await self._drop_all()
        if self._availability.is_available and monotonic() - self._since >= self._pause:
            self._pause = 0.0
        unavailable = CacheUnavailable()
        unavailable.__cause__ = error
        self._availability.lose(reason(unavailable))

    async def _drop_all(self) -> None:
        """Close what is free; what is in use is closed after that."""
        self._links.clear()
        while not self._free.empty():
            await self._free.get_nowait().close()
