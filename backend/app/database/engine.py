"""The database: one engine, and the two kinds of session that services ask it for."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.config.database_url import parse_database_url
from app.database.connection import open_connection
from app.database.failures import is_lost, translated_errors
from app.domain.errors import DatabaseFull, DatabaseUnavailable

CONNECTIONS: Final = 10
POOL_TIMEOUT: Final = 5.0
"""Seconds that a request waits for a free connection before it is answered 503."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a new connection."""
COMMAND_TIMEOUT: Final = 10.0
"""Seconds for one statement of the service."""

_SERVER_TIMEOUTS: Final = """
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN
    ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
"""


class ReadSession(AsyncSession):
    """For statements that only read; a replica may serve it one day."""


class WriteSession(AsyncSession):
    """One transaction on the primary, or statements that are each one."""


class Database:
    """Opens sessions. Failures of the database are raised as the service's own errors.

    Args:
        url: As DATABASE_URL.
        connections: Most connections to it.
        maintenance: Give statements no deadline, for no client waits for them.
    """

    def __init__(
        self, url: str | URL, connections: int = CONNECTIONS, *, maintenance: bool = False
    ) -> None:
        if isinstance(url, URL):
            url = url.render_as_string(hide_password=False)
        self._address = parse_database_url(url)
        self.place = ", ".join(map(str, self._address.hosts))
        """Where it is, for the operator."""
        # SQLAlchemy opens connections beyond a pool's size (`max_overflow`) for one use each, which
        # costs as much as many statements.
        pool = {"pool_size": connections, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT}
        self._engine = self._make_engine(maintenance=maintenance, **pool)
        # A single statement is its own transaction: no BEGIN, COMMIT or ROLLBACK to wait for.
        self._alone = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading = self._engine if maintenance else self._alone
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed_connection)
        event.listen(self._engine.sync_engine, "handle_error", _distrust_connections)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Open a session for reading.

        Raises:
            DatabaseUnavailable: If it is unavailable, or no connection comes free in time.
        """
        with self._translated_errors():
            async with ReadSession(self._reading, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Open a transaction: committed at the end of the block, rolled back on an error in it.

        Raises:
            DatabaseFull: If the database has no room; nothing was committed.
            DatabaseUnavailable: As `read`; raised at the end of the block, it leaves open
                whether the commit took place.
        """
        with self._translated_errors(DatabaseFull):
            async with (
                WriteSession(self._engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @asynccontextmanager
    async def write_alone(self) -> AsyncIterator[WriteSession]:
        """Open a session whose statements are each committed at once.

        Raises:
            DatabaseUnavailable: As `write`; it leaves open whether the statement took place.
        """
        with self._translated_errors(DatabaseFull):
            async with WriteSession(self._alone, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def maintain(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, whose transactions have no deadline.

        Raises:
            DatabaseUnavailable: As `read`.
        """
        engine = self._make_engine(maintenance=True, poolclass=NullPool)
        with self._translated_errors():
            async with engine.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    def _translated_errors(
        self, full: type[DatabaseUnavailable] = DatabaseUnavailable
    ) -> AbstractContextManager[None]:
        return translated_errors(self.place, full)

    def _make_engine(self, *, maintenance: bool, **pool: Any) -> AsyncEngine:  # noqa: ANN401 - as SQLAlchemy
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: open_connection(
                self._address, CONNECT_TIMEOUT, None if maintenance else COMMAND_TIMEOUT
            ),
            hide_parameters=True,
            **pool,
        )
        if maintenance:
            event.listen(engine.sync_engine, "begin", _lift_server_timeouts)
        return engine


def _refuse_closed_connection(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Let the pool replace a connection that the server has closed, without asking the server."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _distrust_connections(context: ExceptionContext) -> None:
    """Let the pool replace this connection, and all others when they are next checked out.

    After a timeout too: what has dropped one connection silently has dropped the idle ones.
    """
    if is_lost(context.original_exception):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True


def _lift_server_timeouts(connection: Connection) -> None:
    """Lift the deadlines that the role or the database has set, for one transaction."""
    connection.exec_driver_sql(_SERVER_TIMEOUTS)
