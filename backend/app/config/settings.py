"""The settings: their names, defaults and bounds. Once made, they never change."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from app.config.storage_url import are_one_place
from app.config.values import (
    BearerKey,
    Folder,
    HttpUrl,
    Listener,
    Networks,
    PostgresUrl,
    RedisUrl,
    SigningKeys,
    StorageUrl,
    StoreUrl,
    ThumbnailSizes,
    is_loopback,
    listed,
)
from app.domain.actor import Access
from app.observability.logs import LogFormat, LogLevel


class Settings(BaseModel):
    """Every setting, by the name of its environment variable in lower case."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8000, ge=0, le=65535)
    """TCP port to listen on; 0 takes a free one."""
    workers: int = Field(1, ge=1, le=64)
    """Server processes."""
    database_url: PostgresUrl = SecretStr("")
    """postgresql://… of a PostgreSQL; empty = the embedded one."""
    public_url: HttpUrl = ""
    """Address that people use, with its path; empty = the one of the request."""
    data_dir: Folder = Path("data")
    """Folder of the images, unless they are in a bucket, and of the embedded database."""
    max_upload_bytes: int = Field(52_428_800, ge=1)
    """Largest accepted file, in bytes."""
    batch_max_files: int = Field(20, ge=1, le=1000)
    """Most files in one batch upload."""
    api_key: BearerKey = SecretStr("")
    """The administrator's key; empty = there is none but those of users."""
    access: Access | None = None
    """What is done without a key: "open" = all; "upload" = uploads, and deletes by token; "keys" =
    fetching public files; empty = open without API_KEY, keys with it."""
    signing_key: SigningKeys = SecretStr("")
    """What addresses of private images are signed with: id:secret, comma separated, the first for
    new ones; empty = the secret of the database."""
    uploads_per_hour_per_ip: int = Field(0, ge=0)
    """Most images one address may add within an hour; 0 = unlimited."""
    trusted_proxies: Networks = ()
    """Addresses or networks, comma separated, whose X-Forwarded-For and X-Forwarded-Proto are
    believed, and behind which any Host is; empty = none."""
    max_connections: int = Field(1000, ge=1, le=100_000)
    """Most clients that one process serves at once; more are answered 503."""
    keep_alive_seconds: int = Field(20, ge=1, le=3600)
    """How long a connection may be idle between two requests."""
    backlog: int = Field(2048, ge=1, le=65_535)
    """Connections that may wait to be accepted."""
    database_connections: int = Field(10, ge=2, le=1000)
    """Most connections of one process to the database."""
    storage_threads: int = Field(8, ge=1, le=256)
    """Threads of one process that wait for the disk, each way."""
    thumbnail_sizes: ThumbnailSizes = (150, 300, 800)
    """Longest sides of thumbnails in pixels, comma separated; "none" = there are none."""
    worker_processes: int = Field(1, ge=0, le=64)
    """Processes that render thumbnails, beside the server processes; 0 = they run elsewhere."""
    render_timeout_seconds: int = Field(30, ge=1, le=600)
    """Most processor time that rendering one image may take, in seconds."""
    render_memory_mb: int = Field(512, ge=128, le=65_536)
    """Most address space of the process that renders an image, in MiB."""
    max_pixels: int = Field(100_000_000, ge=1)
    """Most pixels of an image that is rendered; larger ones have no thumbnails."""
    strip_metadata: bool = False
    """Whether uploads that do not say lose what cameras and programs wrote into the file."""
    redis_url: RedisUrl = SecretStr("")
    """redis://… of a Redis or Valkey that caches rows; empty = no cache."""
    cache_ttl_seconds: int = Field(300, ge=1, le=86_400)
    """How long a row stays in the cache."""
    storage_url: StoreUrl = ""
    """s3://… of a bucket that keeps the images; empty = a folder below the data folder."""
    storage_previous_url: StorageUrl = ""
    """Storage that the images are being moved from: s3://… or "local"; empty = none."""
    storage_redirect: bool = False
    """Whether clients are sent to the store for files that it keeps, for a short time each."""
    aws_access_key_id: str = ""
    """Key of the store; empty = found as AWS's own tools do."""
    aws_secret_access_key: SecretStr = SecretStr("")
    """Its secret."""
    aws_session_token: SecretStr = SecretStr("")
    """The token of temporary credentials."""
    front: Literal["none", "nginx"] = "none"
    """The proxy in front: nginx with the configuration of `deploy/nginx/`, or none that caches."""
    front_port: int = Field(8080, ge=1, le=65535)
    """TCP port that `make front` listens on."""
    front_lease_seconds: int = Field(1, ge=1, le=20)
    """How long the proxy in front may serve a file without asking again."""
    front_stale_seconds: int = Field(0, ge=0, le=86_400)
    """How long after that it may go on while no service can be reached; a delete cannot stop it."""
    log_format: LogFormat = "text"
    """Of each line of the log."""
    log_level: LogLevel = "info"
    """The least level of lines: debug (also the steps of jobs), info, warning (no access lines) or
    error."""
    metrics_address: Listener = ""
    """host:port where Prometheus and operators ask what the service does; empty = nowhere."""

    @field_validator("storage_previous_url")
    @classmethod
    def _is_another_one(cls, value: str, info: ValidationInfo) -> str:
        current = info.data.get("storage_url")
        if value and current is not None and are_one_place(value, current):
            raise ValueError("is the storage of STORAGE_URL; once images are moved, leave it out")
        return value

    @field_validator("storage_redirect")
    @classmethod
    def _has_a_store(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 - as pydantic calls it
        if value and info.data.get("storage_url") == "":
            raise ValueError("needs STORAGE_URL: a folder is nothing that clients can be sent to")
        return value

    @field_validator("access")
    @classmethod
    def _is_not_open_with_a_key(cls, value: Access | None, info: ValidationInfo) -> Access | None:
        key = info.data.get("api_key")
        if value is Access.OPEN and key and key.get_secret_value():
            raise ValueError("is open, so that API_KEY protects nothing: leave one of them out")
        return value

    @field_validator("front")
    @classmethod
    def _fits_the_rest(cls, value: str, info: ValidationInfo) -> str:
        if value != "none" and info.data.get("trusted_proxies") == ():
            raise ValueError(
                "needs TRUSTED_PROXIES, the address that nginx asks from: 127.0.0.1 on this machine"
            )
        if value != "none" and info.data.get("storage_redirect"):
            raise ValueError("sends files from the store by itself: leave STORAGE_REDIRECT out")
        return value

    @property
    def public_path(self) -> str:
        """The path below which a proxy serves the service; empty = none."""
        return urlsplit(self.public_url).path

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine reaches the service."""
        return is_loopback(self.host)

    @property
    def metrics_listener(self) -> tuple[str, int]:
        """Host and TCP port of `metrics_address`."""
        host, _, port = self.metrics_address.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def effective_access(self) -> Access:
        """What somebody without a key may do."""
        if self.access is None:
            return Access.KEYS if self.api_key.get_secret_value() else Access.OPEN
        return self.access

    @property
    def signing_keys(self) -> dict[str, bytes]:
        """The secrets of `signing_key` by their ids, the first for what is signed now."""
        pairs = (one.split(":") for one in listed(self.signing_key.get_secret_value()))
        return {name.strip(): secret.strip().encode() for name, secret in pairs}

    @property
    def is_open_to_the_network(self) -> bool:
        """Whether other machines reach the service and no key protects it."""
        return not self.is_on_loopback and self.effective_access is Access.OPEN

    @property
    def is_filled_by_the_network(self) -> bool:
        """Whether other machines may upload without a key, and as much as they like."""
        is_anyones = not self.is_on_loopback and self.effective_access is Access.UPLOAD
        return is_anyones and not self.uploads_per_hour_per_ip
