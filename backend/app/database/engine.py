"""The database: one engine, and the two kinds of session that services ask it for."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from errno import EDQUOT
from typing import Final

from asyncpg import InterfaceError, InvalidCachedStatementError, PostgresError
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.config.database_url import parse_database_url
from app.database.connection import first_line, open_connection
from app.domain.errors import DatabaseFull, DatabaseUnavailable

CONNECTIONS: Final = 10
POOL_TIMEOUT: Final = 5.0
"""Seconds that a request waits for a free connection before it is told 503."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a new connection."""
COMMAND_TIMEOUT: Final = 10.0
"""Seconds for one statement of the service."""

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST_STATES: Final = (
    "08",  # connection exception
    "25006",  # read only: a standby, or a primary that has become one
    "26000",  # a prepared statement is unknown: another server answers
    "42P05",  # a prepared statement is known already: another server answers
    "57P",  # shutting down, starting up, crashed; the session or the database was ended
)
"""Whoever answers is not, or not for long, the server that the pool was connected to."""
_UNAVAILABLE_STATES: Final = (
    *_LOST_STATES,
    "25P03",  # the transaction was idle for too long
    "25P04",  # the transaction took too long
    "28",  # the role or its password is refused
    "3D000",  # the database does not exist (yet)
    "40",  # rolled back: serialization failure, deadlock
    "42501",  # the role may not do that (yet)
    "42703",  # the columns do not exist (yet)
    "42P01",  # the tables do not exist (yet)
    "53",  # out of connections, memory or disk
    "55",  # a lock was not to be had in time; something is in use
    "57",  # the statement was cancelled, by its timeout or an operator
    "58",  # an error of the system, such as of its disk
)
_DRIVER: Final = "postgresql+asyncpg://"
_SERVER_TIMEOUTS: Final = """
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN
    ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
"""


class ReadSession(AsyncSession):
    """For statements that only read; may one day be served by a replica."""


class WriteSession(AsyncSession):
    """One transaction on the primary."""


class Database:
    """Opens sessions, and tells failures of the database from failures of the program.

    Args:
        url: As DATABASE_URL.
        connections: Most connections to it.
        maintenance: Let statements take as long as they take, for no client waits for them.
    """

    def __init__(
        self, url: str | URL, connections: int = CONNECTIONS, *, maintenance: bool = False
    ) -> None:
        if isinstance(url, URL):
            url = url.render_as_string(hide_password=False)
        self._address = parse_database_url(url)
        self._engine = create_async_engine(
            _DRIVER,
            async_creator=lambda: open_connection(
                self._address, CONNECT_TIMEOUT, None if maintenance else COMMAND_TIMEOUT
            ),
            pool_size=connections,
            # Beyond that SQLAlchemy would open a connection for each use, at the price of many
            # statements.
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            hide_parameters=True,
        )
        if maintenance:
            self._reading = self._engine
            event.listen(self._engine.sync_engine, "begin", _lift_server_timeouts)
        else:
            # A single SELECT is its own transaction: no BEGIN and no ROLLBACK to wait for.
            self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed_connection)
        event.listen(self._engine.sync_engine, "handle_error", _distrust_connections)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        """Open a session for reading.

        Raises:
            DatabaseUnavailable: If the database is away, or no connection comes free in time.
        """
        with _translated_errors():
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
        with _translated_errors(full=DatabaseFull):
            async with (
                WriteSession(self._engine, expire_on_commit=False) as session,
                session.begin(),
            ):
                yield session

    @asynccontextmanager
    async def maintain(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, whose transactions may take as long as they take.

        Raises:
            DatabaseUnavailable: As `read`.
        """
        engine = create_async_engine(
            _DRIVER,
            async_creator=lambda: open_connection(self._address, CONNECT_TIMEOUT, None),
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(engine.sync_engine, "begin", _lift_server_timeouts)
        with _translated_errors():
            async with engine.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _refuse_closed_connection(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Let the pool replace a connection that the server has closed, without asking the server."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _distrust_connections(context: ExceptionContext) -> None:
    """Let the pool replace this connection, and all others when they are next asked for.

    After a timeout too: what has dropped one connection silently has dropped the idle ones.
    """
    error = context.original_exception
    if isinstance(error, TimeoutError) or _has_state(error, _LOST_STATES):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = True


def _lift_server_timeouts(connection: Connection) -> None:
    """Let a transaction take as long as it takes, whatever the role or the database has set."""
    connection.exec_driver_sql(_SERVER_TIMEOUTS)


@contextmanager
def _translated_errors(
    full: type[DatabaseUnavailable] = DatabaseUnavailable,
) -> Iterator[None]:
    """Raise the service's own errors; `full` where the server's disk takes no more."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailable("All connections to the database are in use.") from error
    except DBAPIError as error:
        # SQLAlchemy's own word for it was raised from the driver's.
        cause = (error.orig and error.orig.__cause__) or error
        if _means_full(cause):
            raise full(_words(cause)) from error
        if error.connection_invalidated or _means_unavailable(cause):
            raise _unavailable(cause) from error
        raise
    # What SQLAlchemy passes on as it is.
    except (OSError, InterfaceError) as error:
        raise _unavailable(error) from error
    except PostgresError as error:
        if _means_unavailable(error):
            raise _unavailable(error) from error
        raise


def _means_full(error: BaseException) -> bool:
    """Return whether the server's disk is full, or a quota, of which it has no state of its own."""
    state = getattr(error, "sqlstate", None)
    return state == "53100" or (state == "XX000" and os.strerror(EDQUOT) in str(error))


def _unavailable(error: BaseException) -> DatabaseUnavailable:
    return DatabaseUnavailable(_words(error))


def _words(error: BaseException) -> str:
    said = "no answer in time" if isinstance(error, TimeoutError) else first_line(error)
    return f"The database is not available: {said}."


def _means_unavailable(error: BaseException) -> bool:
    # A plan is dropped when a migration changes the table, and made anew for the next statement.
    return isinstance(error, InvalidCachedStatementError) or _has_state(error, _UNAVAILABLE_STATES)


def _has_state(error: BaseException, states: tuple[str, ...]) -> bool:
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(states)
