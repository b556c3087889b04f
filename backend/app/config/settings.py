"""Settings: read once at start from the environment or `.env`, checked, then never changed."""

import os
import re
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from dotenv.parser import parse_stream
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails

from app.config.database_url import parse_database_url

PREFIX: Final = "IMAGE_HOST_"
"""A name with it wins over the bare one, which other programs may use for something else."""

_ENVIRONMENT: Final = "the environment"


class InvalidSettings(Exception):
    """Settings that the service cannot start with: one line for each bad value."""


class Settings(BaseModel):
    """Every setting, by the name of its environment variable in lower case."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    workers: int = Field(1, ge=1, le=64, description="Worker processes.")
    database_url: SecretStr = Field(
        SecretStr(""), description="postgresql://… of a PostgreSQL; empty = the embedded one."
    )
    public_url: str = Field(
        "", description="Address that people use, with its path; empty = the one of the request."
    )
    data_dir: Path = Field(
        Path("data"), description="Folder of the pictures and of the embedded database."
    )
    max_upload_bytes: int = Field(52_428_800, ge=1, description="Largest accepted file, in bytes.")
    batch_max_files: int = Field(20, ge=1, le=1000, description="Most files in one batch upload.")
    api_key: SecretStr = Field(
        SecretStr(""),
        description="Key that uploads, lists, metadata and deletes ask for; empty = open.",
    )
    uploads_per_hour_per_ip: int = Field(
        0, ge=0, description="Most images one address may add within an hour; 0 = unlimited."
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        (),
        description="Addresses or networks, comma separated, whose X-Forwarded-For and "
        "X-Forwarded-Proto are believed, and behind which any Host is; empty = none.",
    )
    max_connections: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="Most clients that one worker serves at once; more are told 503.",
    )
    keep_alive_seconds: int = Field(
        20, ge=1, le=3600, description="How long a connection may be idle between two requests."
    )
    backlog: int = Field(
        2048, ge=1, le=65_535, description="Connections that may wait to be accepted."
    )
    database_connections: int = Field(
        10, ge=2, le=1000, description="Most connections of one worker to the database."
    )
    storage_threads: int = Field(
        8, ge=1, le=256, description="Threads of one worker that wait for the disk, each way."
    )
    log_format: Literal["text", "json"] = Field("text", description="text or json.")

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        address = value.get_secret_value()
        if not address:
            return value
        if not re.match(r"postgres(ql)?(\+asyncpg)?://", address):
            raise ValueError("must start with postgresql:// (or be empty: embedded database)")
        parse_database_url(address)
        return SecretStr(re.sub(r"^[^:]*", "postgresql+asyncpg", address))

    @field_validator("data_dir", mode="before")
    @classmethod
    def _begins_at_home(cls, value: object) -> object:
        if not isinstance(value, str) or not value.startswith("~"):
            return value
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            home = value.partition("/")[0]
            raise ValueError(f"begins with {home}, and there is no such home") from error

    @field_validator("public_url")
    @classmethod
    def _is_http_url(cls, value: str) -> str:
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

    @field_validator("api_key")
    @classmethod
    def _fits_in_a_header(cls, value: SecretStr) -> SecretStr:
        """Allow what RFC 6750 section 2.1 lets stand after `Bearer`."""
        if not re.fullmatch(r"([A-Za-z0-9._~+/-]+=*)?", value.get_secret_value()):
            raise ValueError("may hold letters, digits and . _ ~ + / - only, then = signs")
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return tuple(ip_network(item.strip()) for item in value.split(",") if item.strip())
        except ValueError as error:
            raise ValueError(f"must be addresses or networks, comma separated: {error}") from error

    @property
    def public_path(self) -> str:
        """The path that a proxy serves the service below; empty = none."""
        return urlsplit(self.public_url).path

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine reaches the service."""
        try:
            address = ip_address(self.host)
        except ValueError:
            return self.host == "localhost"
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback

    @property
    def is_open_to_the_network(self) -> bool:
        """Whether other machines reach the service and no key protects it."""
        return not self.is_on_loopback and not self.api_key.get_secret_value()


class _Found(NamedTuple):
    """A value, and where it was found."""

    name: str
    value: str
    place: str

    @property
    def field(self) -> str:
        return self.name.lower().removeprefix(PREFIX.lower())

    @property
    def has_prefix(self) -> bool:
        return self.name.upper().startswith(PREFIX)

    @property
    def origin(self) -> str:
        return f"{self.name} from {self.place}"

    @property
    def advice(self) -> str:
        """What to do about a name that another program may have set."""
        if self.place != _ENVIRONMENT:
            return ""
        if not self.has_prefix:
            return f"; if it is not meant for this service, set {PREFIX}{self.field.upper()}"
        if self.value.startswith("tcp://"):
            return "; Kubernetes sets it for a Service of that name: enableServiceLinks: false"
        return ""


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`, literally.

    A name with PREFIX wins over the bare one, then the environment over `.env`. An empty value is
    none. A key of `.env` that is no setting is refused, because it is most likely a misspelt one.

    Raises:
        InvalidSettings: With one line for each value that is bad.
    """
    found = _find()
    try:
        return Settings.model_validate({field: item.value for field, item in found.items()})
    except ValidationError as error:
        lines = [_line(item, found[str(item["loc"][0])]) for item in error.errors()]
        raise InvalidSettings("\n".join(lines)) from error


def origin(field: str) -> str:
    """Return where the value of a setting comes from, and what to set instead."""
    found = _find().get(field)
    return f"{found.origin}{found.advice}" if found else f"the default; set {field.upper()}"


def _find() -> dict[str, _Found]:
    known = [
        _Found(name, value, _ENVIRONMENT)
        for name, value in os.environ.items()
        if name.lower().removeprefix(PREFIX.lower()) in Settings.model_fields
    ]
    items = [item for item in (*_read(Path(".env")), *known) if item.value]
    return {item.field: item for item in sorted(items, key=lambda item: item.has_prefix)}


def _read(file: Path) -> Iterator[_Found]:
    """Read a file of NAME=value; a line that would be passed over, as one quote makes it, is bad.

    Raises:
        InvalidSettings: If it cannot be read to its end.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            for binding in parse_stream(lines):
                place = f"{file}, line {binding.original.line}"
                if binding.key is not None and binding.value is not None:
                    yield _Found(binding.key, binding.value, place)
                elif binding.error or binding.key is not None:
                    raise InvalidSettings(f"{place}, is not of the form NAME=value")
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} cannot be read as UTF-8 text: {error}") from error


def _line(item: ErrorDetails, found: _Found) -> str:
    if item["type"] == "extra_forbidden":
        return f"{found.origin} is not a setting; .env.example lists them all"
    message = item["msg"].removeprefix("Value error, ")
    return f"{found.origin}: {message}{found.advice}"
