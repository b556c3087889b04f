"""What values of settings must look like, where that is more than a number or a word."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from app.config.database_url import parse_database_url
from app.config.storage_url import LOCAL, parse_storage_url

_REDIS_URL: Final = re.compile(
    r"(rediss?://([^/?#@]*@)?(\[[0-9A-Fa-f:.%]+\]|[^:/?#@\[\]]+)(:[0-9]{1,5})?(/[0-9]*)?"
    r"|unix://([^/?#@]*@)?/[^?#@]+)(\?[^#@]*)?"
)
"""Strict, since what is taken for a host or port is logged, and must be no part of a password."""
_LISTENER: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/\[\]\s]+):([0-9]{1,5})")
_MOST_PORT: Final = 65_535
_SIGNING_KEY: Final = re.compile(r"[0-9A-Za-z]{1,8}:[^\s:,]{32,}")


def listed(value: str) -> list[str]:
    """Return the items of a list that is separated by commas."""
    return [item.strip() for item in value.split(",") if item.strip()]


def is_listener(text: str) -> bool:
    """Return whether a text is the address of a listener, as METRICS_ADDRESS."""
    found = _LISTENER.fullmatch(text)
    return found is not None and int(found[2]) <= _MOST_PORT


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on a host."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _require_postgresql(value: SecretStr) -> SecretStr:
    if address := value.get_secret_value():
        if not re.match(r"postgres(ql)?(\+asyncpg)?://", address):
            raise ValueError("must start with postgresql:// (or be empty: embedded database)")
        parse_database_url(address)
    return value


def _require_redis(value: SecretStr) -> SecretStr:
    if value.get_secret_value() and not _REDIS_URL.fullmatch(value.get_secret_value()):
        raise ValueError(
            "must be as redis://user:password@host:6379/0, rediss://… or unix:///path (or be "
            "empty: no cache); special characters of user and password are percent-encoded"
        )
    return value


def _require_store(value: str) -> str:
    if value:
        parse_storage_url(value)
    return value


def _require_storage(value: str) -> str:
    return value if value == LOCAL else _require_store(value)


def _require_listener(value: str) -> str:
    if value and not is_listener(value):
        raise ValueError("must be host:port, such as 127.0.0.1:9464 (or be empty: no metrics)")
    return value


def _begin_at_home(value: object) -> object:
    if not isinstance(value, str) or not value.startswith("~"):
        return value
    try:
        return Path(value).expanduser()
    except RuntimeError as error:
        home = value.partition("/")[0]
        raise ValueError(f"begins with {home}, and there is no such home") from error


def _require_http_url(value: str) -> str:
    url = urlsplit(value)
    if value and (
        url.scheme not in {"http", "https"}
        or not url.netloc
        or not re.fullmatch(r"[!#-;=?-~]+", value)
        or set(value) & {"?", "#"}
    ):
        raise ValueError(
            "must be an address in ASCII such as https://images.example.org, without a query"
        )
    return value.rstrip("/")


def _require_bearer(value: SecretStr) -> SecretStr:
    """Return what may follow `Bearer` (RFC 6750, section 2.1)."""
    if not re.fullmatch(r"([A-Za-z0-9._~+/-]+=*)?", value.get_secret_value()):
        raise ValueError("may hold letters, digits and . _ ~ + / - only, then = signs")
    return value


def _require_ids(value: SecretStr) -> SecretStr:
    keys = listed(value.get_secret_value())
    if not all(_SIGNING_KEY.fullmatch(one) for one in keys):
        raise ValueError(
            "must be id:secret, or several of them with commas between; an id is up to 8 "
            "letters and digits, a secret 32 characters or more, as of `openssl rand -hex 32`"
        )
    if len({one.partition(":")[0] for one in keys}) < len(keys):
        raise ValueError("has two secrets of one id")
    return value


def _split_networks(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(item) for item in listed(value))
    except ValueError as error:
        raise ValueError(f"must be addresses or networks, comma separated: {error}") from error


def _split_sizes(value: object) -> object:
    if not isinstance(value, str):
        return value
    return () if value.strip() == "none" else value.split(",")


def _order(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


PostgresUrl = Annotated[SecretStr, AfterValidator(_require_postgresql)]
RedisUrl = Annotated[SecretStr, AfterValidator(_require_redis)]
StoreUrl = Annotated[str, AfterValidator(_require_store)]
StorageUrl = Annotated[str, AfterValidator(_require_storage)]
"""That of a store, or "local"."""
Listener = Annotated[str, AfterValidator(_require_listener)]
Folder = Annotated[Path, BeforeValidator(_begin_at_home)]
HttpUrl = Annotated[str, AfterValidator(_require_http_url)]
BearerKey = Annotated[SecretStr, AfterValidator(_require_bearer)]
SigningKeys = Annotated[SecretStr, AfterValidator(_require_ids)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_split_networks)]
ThumbnailSizes = Annotated[
    tuple[Annotated[int, Field(ge=16, le=2048)], ...],
    BeforeValidator(_split_sizes),
    AfterValidator(_order),
]
