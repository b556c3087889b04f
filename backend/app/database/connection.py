"""One connection to PostgreSQL, through what is in between: poolers, TLS, networks that drop it."""

import asyncio
import itertools
import socket
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from asyncpg import InterfaceError, InternalClientError, PostgresError

from app.config.database_url import DatabaseAddress, Host
from app.database.failures import login_failure
from app.database.tls import connect_with_tls
from app.domain.errors import DatabaseUnavailable

if TYPE_CHECKING:
    _DriverConnection = asyncpg.Connection[asyncpg.Record]
else:
    _DriverConnection = asyncpg.Connection

KEEPALIVE_IDLE_SECONDS: Final = 30
KEEPALIVE_INTERVAL_SECONDS: Final = 10
KEEPALIVE_PROBES: Final = 3
"""An idle connection that the network has dropped is closed after a minute, not after two hours.
What is asked often enough is kept in the tables of most firewalls and NAT gateways, too."""
UNACKNOWLEDGED_SECONDS: Final = 30
"""How long bytes that were sent may stay without the other side's acknowledgement."""


class Connection(_DriverConnection):
    """A connection that may lead through a pooler.

    One like PgBouncer hands each transaction, and each statement outside of one, to the server
    that is free, and the server to another client afterwards. So a session keeps no state there:
    statements get no name but are sent whole each time.
    """

    _transport: asyncio.Transport
    _cancellations: set[asyncio.Task[None]]
    through_pooler = False

    async def detect_pooler(self) -> None:
        """Find out whether the server process that answers is the one that the handshake named.

        Raises:
            PostgresError: If a pooler lets no transactions through.
        """
        self._numbers = itertools.count()
        self.through_pooler = (
            await self.fetchval("SELECT pg_backend_pid()") != self.get_server_pid()
        )
        if self.through_pooler:
            async with self.transaction():
                pass

    async def prepare(self, query: str, *, name: str | None = None, **options: Any) -> Any:  # noqa: ANN401 - as the driver
        """Prepare a statement: with a name of its own, so that the server keeps it, or without.

        The driver may ask for the types of a statement, with settings that it changes for the
        session. In a transaction that is rolled back they reach one server, and do not last.
        """
        if not self.through_pooler:
            name = name or f"statement_{next(self._numbers)}"
            return await super().prepare(query, name=name, **options)
        transaction = self.transaction()
        await transaction.start()
        try:
            return await super().prepare(query, name="", **options)
        finally:
            if not self.is_closed():
                await transaction.rollback()

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's
        """Close the connection, without waiting for a server that may have gone.

        Only a statement that is being cancelled is waited for: else it would go on there.
        """
        if self._cancellations:
            await super().close(timeout=timeout)
        else:
            self.terminate()

    def watch_network(self) -> None:
        """Have the system close the connection when the network has dropped it silently."""
        sock = self._transport.get_extra_info("socket")
        if sock.family == socket.AF_UNIX:
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in {
            "TCP_KEEPIDLE": KEEPALIVE_IDLE_SECONDS,
            "TCP_KEEPALIVE": KEEPALIVE_IDLE_SECONDS,  # macOS
            "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_SECONDS,
            "TCP_KEEPCNT": KEEPALIVE_PROBES,
            "TCP_USER_TIMEOUT": UNACKNOWLEDGED_SECONDS * 1000,  # Linux
        }.items():
            if option := getattr(socket, name, None):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


async def open_connection(
    address: DatabaseAddress, connect_timeout: float, command_timeout: float | None
) -> Connection:
    """Open a connection to the first host that accepts one.

    Args:
        address: The hosts, and the login.
        connect_timeout: Seconds for each host, unless the address sets its own.
        command_timeout: Seconds for each statement; None = as long as it takes.

    Raises:
        DatabaseUnavailable: If no host can be reached, or one refuses the login.
    """
    seconds = address.connect_timeout or connect_timeout
    unavailable = DatabaseUnavailable()
    for host in address.hosts:
        try:
            async with asyncio.timeout(seconds):
                return await _open(address, host, command_timeout)
        except (OSError, ValueError, PostgresError, InterfaceError, InternalClientError) as error:
            unavailable = login_failure(error, address, host, seconds)
            unavailable.__cause__ = error
            if unavailable.refused:
                break
    raise unavailable


async def _open(address: DatabaseAddress, host: Host, command_timeout: float | None) -> Connection:
    arguments: dict[str, Any] = {
        "host": host.name,
        "port": host.port,
        "user": address.login,
        "password": address.password,
        "database": address.database,
        "server_settings": dict(address.server_settings),
        "target_session_attrs": address.session_attributes,
        "timeout": None,
        "command_timeout": command_timeout,
        # SQLAlchemy keeps the statements that it has prepared.
        "statement_cache_size": 0,
        "connection_class": Connection,
    }
    connection: Connection = (
        await asyncpg.connect(**arguments, ssl=False)
        if host.is_local
        else await connect_with_tls(arguments, address.tls)
    )
    try:
        connection.watch_network()
        await connection.detect_pooler()
    except BaseException:
        connection.terminate()
        raise
    return connection
