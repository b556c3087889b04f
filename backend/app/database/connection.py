"""One connection to PostgreSQL, through what is in between: poolers, TLS, forgetful networks."""

import asyncio
import getpass
import itertools
import os
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import asyncpg
from asyncpg import (
    InterfaceError,
    InternalClientError,
    InvalidAuthorizationSpecificationError,
    InvalidPasswordError,
    PostgresError,
)

from app.config.database_url import SYSTEM_AUTHORITIES, DatabaseAddress, Host
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

_FILES: Final = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}
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


class Connection(_DriverConnection):
    """A connection that may lead through a pooler.

    One like PgBouncer hands each transaction, and each statement outside of one, to the server
    that is free, and the server to somebody else afterwards. So nothing may be left behind there,
    and nothing be expected to be there: statements get no name but are sent whole each time.
    """

    _transport: asyncio.Transport
    _cancellations: set[asyncio.Task[None]]
    through_pooler = False

    async def detect_pooler(self) -> None:
        """Find out whether the process that answers is the one that was introduced.

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
    """Open a connection to the first host that takes one.

    Args:
        address: Where to, and as whom.
        connect_timeout: Seconds for each host, where the address says none.
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
            unavailable = _failure(error, address, host, seconds)
            unavailable.__cause__ = error
            if unavailable.refused:
                break
    raise unavailable


async def _open(address: DatabaseAddress, host: Host, command_timeout: float | None) -> Connection:
    arguments: dict[str, Any] = {
        "host": host.name,
        "port": host.port,
        "user": _user(address),
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
        else await _connect_with_tls(arguments, address.tls)
    )
    try:
        connection.watch_network()
        await connection.detect_pooler()
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _connect_with_tls(arguments: dict[str, Any], tls: Mapping[str, str]) -> Any:  # noqa: ANN401 - as the driver
    """Connect as the address, the environment and `~/.postgresql` say; without what is unreadable.

    It is unreadable where HOME is another user's, and then means no more than an empty folder.
    """
    has_system_authorities = tls.get("sslrootcert") == SYSTEM_AUTHORITIES
    for name in _FILES & tls.keys():
        if not os.access(tls[name], os.R_OK) and not (
            name == "sslrootcert" and has_system_authorities
        ):
            raise ValueError(f"{name} names {tls[name]}, which cannot be read")
    if has_system_authorities:  # libpq's word, which the driver does not know
        return await asyncpg.connect(**arguments, ssl=_context_without_home(tls))
    dsn = f"postgresql://?{urlencode(tls)}"
    try:
        return await asyncpg.connect(dsn, **arguments)
    except PermissionError:
        context = _context_without_home(tls)
    mode = _from_libpq("sslmode", tls) or "prefer"
    try:
        return await asyncpg.connect(dsn, **arguments, ssl=mode != "allow" and context)
    except (ConnectionError, InvalidAuthorizationSpecificationError):
        if mode not in {"allow", "prefer"}:
            raise
        return await asyncpg.connect(dsn, **arguments, ssl=mode == "allow" and context)


def _context_without_home(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Make what the driver makes of libpq's parameters, but of nothing in `~/.postgresql`."""
    mode = _from_libpq("sslmode", tls) or "prefer"
    authority = _from_libpq("sslrootcert", tls)
    if mode.startswith("verify") and not authority:
        raise ValueError(
            f"sslmode={mode} needs a certificate in ~/.postgresql, which cannot be read; "
            "name one with sslrootcert"
        )
    is_file = authority != SYSTEM_AUTHORITIES
    context = ssl.create_default_context(cafile=authority if is_file else None)
    context.check_hostname = mode == "verify-full"
    if not authority or mode in {"allow", "prefer"}:
        context.verify_mode = ssl.CERT_NONE
    if revoked := _from_libpq("sslcrl", tls):
        context.load_verify_locations(revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := _from_libpq("sslcert", tls):
        context.load_cert_chain(certificate, _from_libpq("sslkey", tls))
    context.set_alpn_protocols(["postgresql"])
    return context


def _from_libpq(name: str, tls: Mapping[str, str]) -> str | None:
    return tls.get(name) or os.environ.get(f"PG{name.upper()}") or None


def _user(address: DatabaseAddress) -> str:
    try:
        return address.user or os.environ.get("PGUSER") or getpass.getuser()
    except (KeyError, OSError):  # no entry in the password file of the system
        raise ValueError("it names no user, and the system has no name for this one") from None


def _failure(
    error: Exception, address: DatabaseAddress, host: Host, seconds: float
) -> DatabaseUnavailable:
    said = first_line(error)
    if isinstance(error, InvalidPasswordError) or _mentions(error, _PASSWORD_REFUSED):
        reason = f"The database refused the password of user {_user(address)}."
        return DatabaseUnavailable(reason, refused=True)
    match error:
        case PostgresError() if str(error.sqlstate).startswith(_REFUSED_STATES) or _mentions(
            error, _REFUSED_BY_A_POOLER
        ):
            reason = f"The database refused the connection: {said}."
            return DatabaseUnavailable(reason, refused=True)
        case ValueError():
            reason = f"The database cannot be reached as DATABASE_URL has it: {said}."
            return DatabaseUnavailable(reason, refused=True)
        case TimeoutError():
            said = f"no answer within {seconds:g} seconds"
    return DatabaseUnavailable(f"The database is not available: {host}: {said}.")


def _mentions(error: Exception, words: tuple[str, ...]) -> bool:
    return isinstance(error, PostgresError) and any(word in str(error) for word in words)


def first_line(error: BaseException) -> str:
    """Return what an error says, without the details that may follow."""
    return str(error).split("\n", 1)[0].rstrip(".") or type(error).__name__
