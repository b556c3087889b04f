"""The command that serves: `python -m app`."""

import asyncio
import logging
import pickle
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Final

from pydantic import SecretStr

from app.commands.migrate import migrate_now
from app.composition import application, open_storage
from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, embedded_postgres, has_database
from app.database.engine import Database
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable, StorageError
from app.observability.reasons import reason
from app.runtime import signals
from app.server.http_server import Server, failure
from app.server.listener import (
    CannotListen,
    address_of,
    allow_open_files,
    listen,
    refuse_newcomers,
)
from app.server.supervisor import CannotServe, Supervisor
from app.services.identity import StorageIdentity, WrongStorage, require_unused

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1

COMMAND_CONNECTIONS: Final = 30
"""Database connections for commands beside the service, such as fsck and a backup."""

_log = logging.getLogger("app")


def run(settings: Settings) -> int:
    """Serve until a signal ends it.

    Returns:
        0 = it was told to stop, 1 = it could not serve, and why.
    """
    try:
        _run(settings)
    except (CannotListen, EmbeddedDatabaseError, SchemaError, WrongStorage) as error:
        print(error, file=sys.stderr)
    except DatabaseUnavailable as error:
        print(reason(error), file=sys.stderr)
    except StorageError as error:
        print(f"The image storage cannot be used: {reason(error)}", file=sys.stderr)
    except CannotServe as error:
        print(f"The service cannot be kept up: {error}", file=sys.stderr)
    else:
        return EXIT_STOPPED
    return EXIT_FAILED


def _run(settings: Settings) -> None:
    allow_open_files(settings)
    with ExitStack() as opened:
        listener = opened.enter_context(listen(settings))
        if url := settings.database_url.get_secret_value():
            asyncio.run(_require_head(url))
        else:
            postgres = settings.data_dir / "postgres"
            if not has_database(postgres):
                asyncio.run(_require_unused_storage(settings))
            print("Starting the embedded PostgreSQL", flush=True)
            connections = settings.workers * settings.database_connections + COMMAND_CONNECTIONS
            embedded = opened.enter_context(embedded_postgres(postgres, connections))
            migrate_now(embedded)
            address = SecretStr(embedded.render_as_string(hide_password=False))
            settings = settings.model_copy(update={"database_url": address})
        asyncio.run(_require_own_storage(settings))
        serve = _serve_here if settings.workers == 1 else _serve_by_workers
        serve(settings, listener, lambda: _announce(settings, listener))


async def _require_head(url: str) -> None:
    """Refuse a database that refuses the login, or has to be migrated first.

    One that does not answer yet is waited for later.
    """
    database = Database(url)
    try:
        await require_head(database)
    except DatabaseUnavailable as error:
        if error.refused:
            raise
    finally:
        await database.close()


async def _require_own_storage(settings: Settings) -> None:
    """Refuse a storage that is not the database's; what is not known yet is found out later."""
    database = Database(settings.database_url.get_secret_value())
    try:
        with suppress(DatabaseUnavailable, StorageError):
            await StorageIdentity(database, open_storage(settings)).establish()
    finally:
        await database.close()


async def _require_unused_storage(settings: Settings) -> None:
    """Refuse to make a new database beside images that belong to one, or may do so."""
    await require_unused(open_storage(settings))


def _serve_here(
    settings: Settings, listener: socket.socket, on_serving: Callable[[], None]
) -> None:
    """Serve in this process."""
    is_announced = False
    received: list[int] = []

    async def beat() -> None:
        nonlocal is_announced
        if not is_announced:
            is_announced = True
            on_serving()

    try:
        with signals.held():
            server = Server(application(settings), settings, listener, beat)

            def stop(number: int, frame: FrameType | None) -> None:
                received.append(number)
                refuse_newcomers(listener)
                server.handle_exit(number, frame)

            signals.handle(stop, *signals.ENDING)
        server.run()
    except Exception as error:
        raise CannotServe(failure(error)) from error
    finally:
        signals.ignore()
    if not is_announced:
        raise signals.Interrupted(received[0])


def _serve_by_workers(
    settings: Settings, listener: socket.socket, on_serving: Callable[[], None]
) -> None:
    """Serve in processes of their own."""
    command = [sys.executable, "-m", "app.commands.serving_process"]
    try:
        Supervisor(command, pickle.dumps(settings), listener, settings.workers, on_serving).run()
    except OSError as error:
        raise CannotServe(failure(error)) from error
    finally:
        signals.ignore()


def _announce(settings: Settings, listener: socket.socket) -> None:
    address = address_of(listener)
    print(f"Image host: {address}\nDocs:       {address}/docs", flush=True)
    if settings.is_open_to_the_network:
        _log.warning(
            "%s is reachable from other machines and API_KEY is empty: anyone who reaches it "
            "may upload and delete",
            settings.host,
        )
