"""A few connections to a Redis or Valkey, opened in the background and dropped after any failure.

A request never waits for a connection to be opened, and for answers only `OPERATION_SECONDS`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from time import monotonic
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError

from app.domain.errors import CacheUnavailable
from app.observability.reasons import reason

CONNECTIONS: Final = 3
CONNECT_SECONDS: Final = 1.0
"""For name, TCP, TLS and login."""
OPERATION_SECONDS: Final = 0.1
"""For a free connection and the answers."""
LATE_SECONDS: Final = 0.05
"""More, for what has arrived while this process itself was busy."""
MAX_PAUSE: Final = 30.0
"""Seconds between two attempts to connect. A server that was available for so long is asked again
at once when it fails."""

Command = tuple[bytes | str | int, ...]
Compose = Callable[[str], Sequence[Command]]
"""Makes commands for a server whose keys all begin with the argument."""

_FAILURES: Final = (RedisError, OSError, TypeError, ValueError)
"""Refused, closed, late, or answered with what cannot be read."""

_log = logging.getLogger(__name__)


class Link:
    """One connection; its `namespace` begins the keys of the server process at the other end.

    Another process, as after a restart from a snapshot or a failover, has another namespace.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.namespace = ""

    async def open(self, prepare: Compose) -> None:
        """Connect, log in, ask which server process this is, and prepare it.

        Raises:
            ValueError: If this is no primary that has all keys.
        """
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._connection.connect()  # type: ignore[no-untyped-call]
        async with _deadline():
            (info,) = await self.exchange(lambda _: [("INFO",)])
        lines = str(info, "utf-8").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        if facts.get("redis_mode", "standalone") != "standalone":
            raise ValueError(f"the server runs as {facts['redis_mode']}, not as standalone")
        if facts.get("role") != "master" or "run_id" not in facts:
            raise ValueError("the server is a replica")
        self.namespace = facts["run_id"][:16]
        async with _deadline():
            await self.exchange(prepare)

    async def exchange(self, compose: Compose) -> list[Any]:
        """Return the answers to some commands. After an exception, this can only be closed."""
        commands = compose(self.namespace)
        await self._connection.send_packed_command(b"".join(map(_pack, commands)))
        return [await self._connection.read_response() for _ in commands]

    async def close(self) -> None:
        """Close the connection, whatever there is still to be read from it."""
        await self._connection.disconnect(nowait=True)


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
        self._free: asyncio.LifoQueue[Link] = asyncio.LifoQueue()
        self._was_tried = asyncio.Event()
        self._is_missing = asyncio.Event()
        self._has_failed = False
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
            async with _deadline():
                link = await self._free.get()
                yield await link.exchange(compose)
        except BaseException as error:
            if link:
                await self._drop(link, error)
            if isinstance(error, _FAILURES):
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
            except _FAILURES as error:
                await self._fail(error)
            self._was_tried.set()
            if self._links:
                await self._is_missing.wait()
            self._is_missing.clear()
            if self._has_failed:
                await asyncio.sleep(self._pause)
                self._pause = min(max(1.0, 2 * self._pause), MAX_PAUSE)

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
        if self._has_failed:
            self._has_failed = False
            _log.warning("the cache is available again")

    async def _drop(self, link: Link, error: BaseException) -> None:
        """Drop a connection, and if its server has failed, all of them."""
        is_current = link in self._links
        self._links.discard(link)
        await link.close()
        if is_current and isinstance(error, _FAILURES):
            await self._fail(error)
        self._is_missing.set()

    async def _fail(self, error: Exception) -> None:
        if monotonic() - self._since >= MAX_PAUSE:
            self._pause = 0.0
        await self._drop_all()
        if not self._has_failed:
            self._has_failed = True
            unavailable = CacheUnavailable()
            unavailable.__cause__ = error
            _log.warning("the cache is unavailable: %s", reason(unavailable))

    async def _drop_all(self) -> None:
        """Close what is free; what is in use is closed after that."""
        self._links.clear()
        while not self._free.empty():
            await self._free.get_nowait().close()


def _pack(command: Command) -> bytes:
    return pack_command(command)  # type: ignore[arg-type, no-any-return]  # typed for one argument


@asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    """Raise TimeoutError when an operation takes too long, but read first what has arrived."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        late = loop.call_later(
            OPERATION_SECONDS, lambda: timeout.reschedule(loop.time() + LATE_SECONDS)
        )
        try:
            yield
        finally:
            late.cancel()
