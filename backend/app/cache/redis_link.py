"""One connection to a Redis or Valkey, by which it is known which server process that is."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection

CONNECT_SECONDS: Final = 1.0
"""For name, TCP, TLS and login."""
OPERATION_SECONDS: Final = 0.1
"""For a free connection and the answers."""
LATE_SECONDS: Final = 0.05
"""More, for what has arrived while this process itself was busy."""

PRIMARY: Final = "image-host:primary"
"""Key of the namespace that was used last in this data, in which server ever that was."""
# As in an invalidation, a deletion comes first.
_BECOME_PRIMARY: Final = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1])"
KEYS_AT_ONCE: Final = 1000
"""How many keys of a server are looked at, and maybe removed, in one go."""

Command = tuple[bytes | str | int, ...]
Compose = Callable[[str], Sequence[Command]]
"""Makes commands for a server whose keys all begin with the argument."""


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
        (info,) = await self._ask("INFO")
        lines = str(info, "utf-8").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        if facts.get("redis_mode", "standalone") != "standalone":
            raise ValueError(f"the server runs as {facts['redis_mode']}, not as standalone")
        if facts.get("role") != "master" or "run_id" not in facts:
            raise ValueError("the server is a replica")
        self.namespace = facts["run_id"][:16]
        await self._empty_unless_used_last()
        async with deadline():
            await self.exchange(prepare)

    async def _empty_unless_used_last(self) -> None:
        """Remove what is in the namespace from an earlier time, if another was used since.

        A primary that became a replica, and the primary again, has its keys of that time from the
        one in between, in whose namespace they were not invalidated.
        """
        if await self._ask("GET", PRIMARY) == [self.namespace.encode()]:
            return
        pattern = f"{self.namespace}:*"
        cursor: bytes | int = 0
        while cursor != b"0":
            find = ("SCAN", cursor, "MATCH", pattern, "COUNT", KEYS_AT_ONCE)
            ((cursor, keys),) = await self._ask(*find)
            if keys:
                await self._ask("DEL", *keys)
        await self._ask("EVAL", _BECOME_PRIMARY, 1, PRIMARY, self.namespace)

    async def _ask(self, *command: bytes | str | int) -> list[Any]:
        """Return the answer to one command, as the only item."""
        async with deadline():
            return await self.exchange(lambda _: [command])

    async def exchange(self, compose: Compose) -> list[Any]:
        """Return the answers to some commands. After an exception, this can only be closed."""
        commands = compose(self.namespace)
        await self._connection.send_packed_command(b"".join(map(_pack, commands)))
        return [await self._connection.read_response() for _ in commands]

    async def close(self) -> None:
        """Close the connection, whatever there is still to be read from it."""
        await self._connection.disconnect(nowait=True)


def _pack(command: Command) -> bytes:
    return pack_command(command)  # type: ignore[arg-type, no-any-return]  # typed for one argument


@asynccontextmanager
async def deadline() -> AsyncIterator[None]:
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
