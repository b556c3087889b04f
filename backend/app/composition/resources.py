"""What a process works with: opened from the settings, closed in the reverse order."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.cache.base import Cache
from app.composition.roles import Role
from app.config.settings import Settings
from app.config.storage_url import S3Location, storage_place
from app.database.engine import Database
from app.observability.observer import SILENT, Observer
from app.storage.abilities import Place
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage


class Resources(NamedTuple):
    """Where the rows and the files are, and what is cached of the rows."""

    database: Database
    storage: StorageBackend
    cache: Cache | None


class CannotCache(Exception):
    """The cache that the settings name cannot be used, whether or not it is there."""


class CannotStore(Exception):
    """The packages are missing that the storage needs which the settings name."""


@asynccontextmanager
async def open_resources(
    settings: Settings, role: Role, observer: Observer = SILENT
) -> AsyncIterator[Resources]:
    """Open what a role needs. Nothing is connected to, or written, before its first use.

    Args:
        settings: Which resources.
        role: Of the process.
        observer: Told how they are used; what that costs is spared where it is silent.
    """
    async with AsyncExitStack() as opened:
        database = _open_database(settings, role, observer)
        opened.push_async_callback(database.close)
        storage = open_storage(settings, observer)
        opened.push_async_callback(storage.close)
        cache = _open_cache(settings, observer)
        if cache:
            opened.push_async_callback(cache.close)
        yield Resources(database, storage, cache)


def _open_database(settings: Settings, role: Role, observer: Observer) -> Database:
    url, connections = settings.database_url.get_secret_value(), settings.database_connections
    maintenance = not role.has_deadlines
    if observer.is_silent:
        return Database(url, connections, maintenance=maintenance)
    from app.database.measured import MeasuredDatabase  # noqa: PLC0415

    return MeasuredDatabase(url, connections, observer, maintenance=maintenance)


def _open_cache(settings: Settings, observer: Observer) -> Cache | None:
    """Open the cache, if there is to be one.

    Raises:
        CannotCache: If the setting or the installation does not allow it.
    """
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    try:
        from app.cache.redis import RedisCache  # noqa: PLC0415

        cache = RedisCache(url, settings.cache_ttl_seconds)
    except ModuleNotFoundError as error:
        raise CannotCache("REDIS_URL needs the package redis: make cache") from error
    except ValueError as error:
        # Its words may be a part of the password.
        raise CannotCache("REDIS_URL is not as .env.example shows it") from error
    if observer.is_silent:
        return cache
    from app.cache.measured import MeasuredCache  # noqa: PLC0415

    return MeasuredCache(cache, observer)


def open_storage(settings: Settings, observer: Observer = SILENT) -> StorageBackend:
    """Open the storage alone, as a start does before there is a database.

    Args:
        settings: Which storage.
        observer: As of `open_resources`.

    Raises:
        CannotStore: If the installation does not allow it.
    """
    storage = _open_measured(settings, settings.storage_url, observer)
    if not settings.storage_previous_url:
        return storage
    from app.storage.moving import MovingStorage  # noqa: PLC0415

    return MovingStorage(storage, _open_measured(settings, settings.storage_previous_url, observer))


def _open_measured(settings: Settings, url: str, observer: Observer) -> Place:
    place = storage_place(url)
    storage = _open_place(settings, place, observer)
    if observer.is_silent:
        return storage
    from app.storage.measured import measured  # noqa: PLC0415

    return measured(storage, "local" if place == "local" else "s3", observer)


def _open_place(
    settings: Settings, place: S3Location | Literal["local"], observer: Observer
) -> Place:
    if place != "local":
        return _open_s3(settings, place)
    return LocalStorage(
        settings.data_dir / "images",
        settings.storage_threads,
        settings.max_connections,
        observer,
    )


def _open_s3(settings: Settings, location: S3Location) -> Place:
    try:
        from app.storage.s3.backend import S3Storage  # noqa: PLC0415
        from app.storage.s3.credentials import Credentials  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CannotStore("STORAGE_URL needs the packages aiohttp and botocore: make s3") from error
    if location.profile:
        credentials = Credentials(profile=location.profile)
    else:
        credentials = Credentials(
            settings.aws_access_key_id,
            settings.aws_secret_access_key.get_secret_value(),
            settings.aws_session_token.get_secret_value(),
        )
    return S3Storage(location, credentials, settings.max_connections)


@contextmanager
def located_database(
    settings: Settings, embedded: Callable[[Path], AbstractContextManager[URL]]
) -> Iterator[Settings]:
    """Yield the settings with the URL of the database: DATABASE_URL, or the embedded one's.

    Args:
        settings: As they were read.
        embedded: Runs or finds the embedded database of a folder, until the end of the block.

    Raises:
        EmbeddedDatabaseError: If the embedded database cannot be used.
    """
    if settings.database_url.get_secret_value():
        yield settings
        return
    with embedded(settings.data_dir / "postgres") as url:
        address = SecretStr(url.render_as_string(hide_password=False))
        yield settings.model_copy(update={"database_url": address})
