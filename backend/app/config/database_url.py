"""The address of a database: what DATABASE_URL says, in the form of libpq.

https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

import getpass
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
SESSION_ATTRIBUTES: Final = ("any", "primary", "read-write")
"""Servers to choose from. The others that libpq knows take no writes."""
SYSTEM_AUTHORITIES: Final = "system"
"""As `sslrootcert`: the authorities that the system trusts, as browsers do."""

_FOR_LOGIN: Final = {"user", "password", "dbname"}
_FOR_PLACE: Final = {"host", "port", "connect_timeout", "target_session_attrs"}
_FOR_TLS: Final = {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslnegotiation"}
_FOR_SERVER: Final = {"application_name", "options"}
_WITHOUT_EFFECT: Final = {
    "channel_binding",
    "client_encoding",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
}
"""Hosted databases put these in their URLs. The driver does without, or as they say by itself."""
_KNOWN: Final = _FOR_LOGIN | _FOR_PLACE | _FOR_TLS | _FOR_SERVER

_SPECIAL: Final = (
    "special characters of the user name and password must be percent-encoded "
    "(@ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25)"
)
_URL: Final = re.compile(
    r"postgres(?:ql)?(?:\+asyncpg)?://"
    r"(?:(?P<user>[^:/?#@]*)(?::(?P<password>[^/?#@]*))?@)?"
    r"(?P<hosts>[^/?#@]*)(?:/(?P<database>[^/?#@]*))?(?:\?(?P<query>[^?#@]*))?"
)
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(?::(?P<port>[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a name, an address, the folder of a Unix socket, or "" = as libpq has it."""

    name: str
    port: int | None = None
    """None = libpq's default, or PGPORT."""

    @property
    def is_local(self) -> bool:
        """Whether it is reached by a Unix socket."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        name = self.name or "the default host"
        return f"{name}:{self.port}" if self.port else name


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a database is, and how to log in; None = as libpq has it without."""

    hosts: tuple[Host, ...]
    """To try, in this order."""
    user: str | None
    password: str | None = field(repr=False)
    database: str | None
    tls: Mapping[str, str]
    """libpq's `ssl…` parameters."""
    server_settings: Mapping[str, str]
    session_attributes: str | None
    connect_timeout: float | None
    """Seconds for each host."""

    @property
    def login(self) -> str:
        """The user to log in as.

        Raises:
            ValueError: If the address names none, and the system has no name for the process's.
        """
        try:
            return self.user or os.environ.get("PGUSER") or getpass.getuser()
        except (KeyError, OSError):  # no entry in the password file of the system
            raise ValueError("it names no user, and the system has no name for this one") from None


def parse_database_url(url: str) -> DatabaseAddress:
    """Parse an address.

    Raises:
        ValueError: If it is malformed; the message says what to do, and shows no secret.
    """
    found = _URL.fullmatch(url)
    if not found or not _is_encoded(url):
        raise ValueError(f"is not of the form postgresql://user:password@host/name; {_SPECIAL}")
    query = _parse_query(found["query"] or "")
    hosts = _parse_hosts(found["hosts"], unquote)
    ports = query.get("port") or ",".join(str(host.port) for host in hosts if host.port)
    if "host" in query:
        hosts = _parse_hosts(query["host"])
    return DatabaseAddress(
        hosts=_with_ports(hosts, ports),
        user=query.get("user") or _decode(found["user"]),
        password=query.get("password") or _decode(found["password"]),
        database=query.get("dbname") or _decode(found["database"]),
        tls={name: query[name] for name in sorted(_FOR_TLS & query.keys())},
        server_settings={name: query[name] for name in sorted(_FOR_SERVER & query.keys())},
        session_attributes=query.get("target_session_attrs"),
        connect_timeout=float(query.get("connect_timeout", 0)) or None,
    )


def _parse_query(text: str) -> dict[str, str]:
    if not re.fullmatch(r"(?:[A-Za-z_]+=[^&]*(?:&|$))*", text):
        raise ValueError(f"has parameters that are not of the form name=value; {_SPECIAL}")
    query: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        # SQLAlchemy's form for several servers names each in a `host` of its own.
        query[name] = f"{query[name]},{value}" if name == "host" and name in query else value
    if query.get("ssl") == "true":  # libpq takes it, for JDBC's sake
        query.setdefault("sslmode", "require")
        del query["ssl"]
    if query.get("sslrootcert") == SYSTEM_AUTHORITIES:
        query.setdefault("sslmode", "verify-full")
        if query["sslmode"] != "verify-full":
            raise ValueError(
                "has the parameter sslrootcert=system, which needs sslmode=verify-full"
            )
    if unknown := query.keys() - _KNOWN - _WITHOUT_EFFECT:
        known = ", ".join(sorted(_KNOWN))
        raise ValueError(f"has the parameter {min(unknown)}; those that are known are {known}")
    for name, allowed in {
        "sslmode": SSL_MODES,
        "channel_binding": ("disable", "prefer", "require"),
        "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
        "target_session_attrs": SESSION_ATTRIBUTES,
        "gssencmode": ("disable", "prefer"),
    }.items():
        if query.get(name, allowed[0]) not in allowed:
            raise ValueError(f"has the parameter {name}, which must be one of {', '.join(allowed)}")
    if not re.fullmatch("[0-9]{1,6}", query.get("connect_timeout", "0")):
        raise ValueError("has the parameter connect_timeout, which must be a number of seconds")
    return query


def _parse_hosts(text: str, decode: Callable[[str], str] = str) -> list[Host]:
    if text.startswith("/"):  # a folder, whatever is in its name
        return [Host(text)]
    hosts = []
    for item in text.split(","):
        found = _HOST.fullmatch(item)
        if not found or (found["port"] and not _is_port(found["port"])):
            raise ValueError(f"has a host that is not of the form name:port; {_SPECIAL}")
        port = int(found["port"]) if found["port"] else None
        hosts.append(Host(decode(found["name"].strip("[]")), port))
    return hosts


def _with_ports(hosts: list[Host], text: str) -> tuple[Host, ...]:
    """Set the port of each host that has none: one for all, or one for each."""
    if not text or all(host.port for host in hosts):
        return tuple(hosts)
    if not all(map(_is_port, text.split(","))):
        raise ValueError("has the parameter port, which must be a number, or one for each host")
    ports = [int(port) for port in text.split(",")]
    if len(ports) not in {1, len(hosts)}:
        raise ValueError(f"has {len(ports)} ports for {len(hosts)} hosts")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return tuple(
        Host(host.name, host.port or port) for host, port in zip(hosts, ports, strict=True)
    )


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text) is not None and 0 < int(text) < 1 << 16


def _decode(text: str | None) -> str | None:
    return unquote(text) if text else None


def _is_encoded(text: str) -> bool:
    """Return whether each % begins an escape, and all of them are UTF-8 without a null."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        return False
    try:
        return "\0" not in unquote(text, errors="strict")
    except UnicodeDecodeError:
        return False
