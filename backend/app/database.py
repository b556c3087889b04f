"""The database: one engine, and the two kinds of session that services ask it for."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from errno import EDQUOT
from typing import Final

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, PoolProxiedConnection

from app.errors import DatabaseFull, DatabaseUnavailable

CONNECTIONS: Final = 10
POOL_TIMEOUT: Final = 5.0
"""Seconds that a request waits for a free connection before it is told 503."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a new connection."""
COMMAND_TIMEOUT: Final = 10.0
"""Seconds for one statement."""

_UNAVAILABLE_STATES: Final = (
    "08",  # connection exception
    "25006",  # read only: a standby, not yet promoted
    "28",  # the role or its password is refused
    "3D000",  # the database does not exist (yet)
    "42501",  # the role may not do that (yet)
    "42703",  # the columns do not exist (yet)
    "42P01",  # the tables do not exist (yet)
    "53",  # out of connections, memory or disk
    "57P",  # shutting down, starting up, crashed
)


class ReadSession(AsyncSession):
    """For statements that only read; may one day be served by a replica."""


class WriteSession(AsyncSession):
    """One transaction on the primary."""


class Database:
    """Opens sessions, and tells failures of the database from failures of the program.

    Args:
        url: `postgresql+asyncpg://…`; libpq's `sslmode` is understood.
        connections: Most connections to it.
    """

    def __init__(self, url: str | URL, connections: int = CONNECTIONS) -> None:
        self._engine = create_async_engine(
            _with_ssl_for_asyncpg(make_url(url)),
            pool_size=connections,
            # Beyond that SQLAlchemy would open a connection for each use, at the price of many
            # statements.
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            connect_args={"timeout": CONNECT_TIMEOUT, "command_timeout": COMMAND_TIMEOUT},
            hide_parameters=True,
        )
        # A single SELECT is its own transaction: no BEGIN and no ROLLBACK to wait for.
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed_connection)

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
        """Open a connection outside the pool, whose statements may take as long as they take.

        Raises:
            DatabaseUnavailable: As `read`.
        """
        engine = create_async_engine(
            self._engine.url,
            poolclass=NullPool,
            connect_args={"timeout": CONNECT_TIMEOUT},
            hide_parameters=True,
        )
        with _translated_errors():
            async with engine.connect() as connection:
                yield connection

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


def _with_ssl_for_asyncpg(url: URL) -> URL:
    """Hand libpq's `sslmode`, which hosted databases put in their URLs, to asyncpg's `ssl`."""
    mode = url.query.get("sslmode")
    if mode is None:
        return url
    return url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})


def _refuse_closed_connection(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Let the pool replace a connection that the server has closed, without asking the server."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@contextmanager
def _translated_errors(
    full: type[DatabaseUnavailable] = DatabaseUnavailable,
) -> Iterator[None]:
    """Raise the service's own errors; `full` where the server's disk takes no more."""
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if _means_full(error.orig):
            raise full from error
        if error.connection_invalidated or _means_unavailable(error.orig):
            raise DatabaseUnavailable from error
        raise
    # What happens while connecting, and the command timeout, SQLAlchemy passes on as it is.
    except (OSError, InterfaceError) as error:
        raise DatabaseUnavailable from error
    except PostgresError as error:
        if _means_unavailable(error):
            raise DatabaseUnavailable from error
        raise


def _means_full(error: BaseException | None) -> bool:
    """Tell a full disk, or a quota, of which PostgreSQL has no state of its own."""
    state = getattr(error, "sqlstate", None)
    return state == "53100" or (state == "XX000" and os.strerror(EDQUOT) in str(error))


def _means_unavailable(error: BaseException | None) -> bool:
    state = getattr(error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_UNAVAILABLE_STATES)
