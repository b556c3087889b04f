"""Errors of the driver and the server, translated into the service's own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT
from typing import Final

from asyncpg import (
    InterfaceError,
    InvalidCachedStatementError,
    InvalidPasswordError,
    PostgresError,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.config.database_url import DatabaseAddress, Host
from app.domain.errors import DatabaseUnavailable

_REFUSED_STATES: Final = (
    "22023",  # a value of `options` that the server does not know
    "28",  # the role or its password
    "3D000",  # no such database
    "42501",  # the role may not connect
    "42704",  # a setting of `options` that the server does not know
)
_REFUSED_BY_A_POOLER: Final = (
    "startup parameter",
    "statement pooling mode",
    "does not exist",
    "no such ",
)
_PASSWORD_REFUSED: Final = ("password authentication", "empty password", "SASL authentication")
"""In messages of PgBouncer, which has one code for everything."""

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


def login_failure(
    error: Exception, address: DatabaseAddress, host: Host, seconds: float
) -> DatabaseUnavailable:
    """Return the error that says why a host could not be connected to within `seconds`."""
    said = _first_line(error)
    if isinstance(error, InvalidPasswordError) or _mentions(error, _PASSWORD_REFUSED):
        reason = f"The database refused the password of user {address.login}."
    elif _has_state(error, _REFUSED_STATES) or _mentions(error, _REFUSED_BY_A_POOLER):
        reason = f"The database refused the connection: {said}."
    elif isinstance(error, ValueError):
        reason = f"The database cannot be reached as DATABASE_URL has it: {said}."
    else:
        if isinstance(error, TimeoutError):
            said = f"no answer within {seconds:g} seconds"
        return DatabaseUnavailable(f"The database is not available: {host}: {said}.")
    return DatabaseUnavailable(reason, refused=True)


@contextmanager
def translated_errors(
    place: str, full: type[DatabaseUnavailable] = DatabaseUnavailable
) -> Iterator[None]:
    """Raise the service's own errors.

    Args:
        place: Where the database is, for the operator.
        full: What is raised where the server's disk is full.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise DatabaseUnavailable(f"All connections to {place} are in use.") from error
    except DBAPIError as error:
        # SQLAlchemy's own error was raised from the driver's.
        cause = (error.orig and error.orig.__cause__) or error
        if _means_full(cause):
            raise full(unavailable_at(place, cause)) from error
        if error.connection_invalidated or _means_unavailable(cause):
            raise DatabaseUnavailable(unavailable_at(place, cause)) from error
        raise
    except (OSError, InterfaceError, PostgresError) as error:  # SQLAlchemy does not wrap these
        if isinstance(error, PostgresError) and not _means_unavailable(error):
            raise
        raise DatabaseUnavailable(unavailable_at(place, error)) from error


def unavailable_at(place: str, error: BaseException) -> str:
    """Return why a database cannot be used, in one line for the operator."""
    said = "no answer in time" if isinstance(error, TimeoutError) else _first_line(error)
    return f"The database is not available: {place}: {said}."


def is_lost(error: BaseException) -> bool:
    """Return whether the connection, and others of the pool, lead to no usable server any more."""
    return isinstance(error, TimeoutError) or _has_state(error, _LOST_STATES)


def _means_full(error: BaseException) -> bool:
    """Return whether the server's disk is full, or a quota, which has no SQLSTATE of its own."""
    return _has_state(error, ("53100",)) or (
        _has_state(error, ("XX000",)) and os.strerror(EDQUOT) in str(error)
    )


def _means_unavailable(error: BaseException) -> bool:
    # A migration that changes the table invalidates the plan; the next statement makes another.
    return isinstance(error, InvalidCachedStatementError) or _has_state(error, _UNAVAILABLE_STATES)


def _has_state(error: BaseException, states: tuple[str, ...]) -> bool:
    return str(getattr(error, "sqlstate", None)).startswith(states)


def _mentions(error: Exception, words: tuple[str, ...]) -> bool:
    return isinstance(error, PostgresError) and any(word in str(error) for word in words)


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's message, without the details that may follow."""
    return str(error).split("\n", 1)[0].rstrip(".") or type(error).__name__
