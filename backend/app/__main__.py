"""The commands: `python -m app` serves; its arguments name what else there is to do."""

import argparse
import asyncio
import errno
import logging
import logging.config
import os
import resource
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from typing import Final

import uvicorn
from uvicorn.supervisors import Multiprocess

from app import backfill, fsck, migrate
from app.config import InvalidSettings, Settings, load_settings
from app.database import Database
from app.embedded import EmbeddedDatabaseError, embedded_postgres, has_database
from app.errors import DatabaseUnavailable, StorageError
from app.http_protocol import bounded_protocol
from app.logs import log_config
from app.main import open_storage
from app.migrations import SchemaError, require_head
from app.reasons import reason
from app.services.identity import StorageIdentity, WrongStorage, require_unused

DRAIN_SECONDS: Final = 30
"""How long requests in hand may take to finish when the service is told to stop."""
FILES_PER_CONNECTION: Final = 3
"""The connection itself, the file that it brings or takes, and a connection beyond the limit."""
OTHER_FILES: Final = 200
"""Libraries, the log, what the storage has to itself."""

_EXIT_OK: Final = 0
_EXIT_FAILED: Final = 1
_EXIT_BAD_SETTINGS: Final = 2

_log = logging.getLogger("app")


class CannotListen(Exception):
    """The address to listen on cannot be used."""


def main() -> int:
    """Run the command that the arguments name; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    fsck.add_arguments(commands.add_parser("fsck", help="compare rows and files"))
    migrate.add_arguments(commands.add_parser("migrate", help="bring the schema up to date"))
    commands.add_parser(
        "backfill",
        aliases=["backfill-dimensions"],
        help="complete rows of earlier versions from their files: dimensions, checksum, truncated",
    )
    options = parser.parse_args()
    try:
        settings = load_settings()
    except InvalidSettings as error:
        return _fail(_EXIT_BAD_SETTINGS, f"Bad settings:\n{error}")
    logging.config.dictConfig(log_config(settings.log_format))
    match options.command:
        case "fsck":
            return fsck.run(settings, options)
        case "migrate":
            return migrate.run(settings, options)
        case "backfill" | "backfill-dimensions":
            return backfill.run(settings)
    try:
        return _run(settings)
    except DatabaseUnavailable as error:
        message = reason(error)
    except (EmbeddedDatabaseError, SchemaError, WrongStorage, CannotListen) as error:
        message = str(error)
    return _fail(_EXIT_FAILED, message)


def _run(settings: Settings) -> int:
    """Run the service until it is told to stop."""
    signals = _Signals()
    signals.end_on_hangup()
    _allow_open_files(
        FILES_PER_CONNECTION * settings.max_connections
        + settings.database_connections
        + OTHER_FILES
    )
    with ExitStack() as opened:
        listener = opened.enter_context(_listen(settings.host, settings.port, settings.backlog))
        given = settings.database_url.get_secret_value()
        if given:
            asyncio.run(_require_head(given))
        else:
            postgres = settings.data_dir / "postgres"
            if not has_database(postgres):
                asyncio.run(_require_unused_storage(settings))
            print("Starting the embedded PostgreSQL", flush=True)
            url = opened.enter_context(embedded_postgres(postgres))
            os.environ["DATABASE_URL"] = given = url.render_as_string(hide_password=False)
            migrate.migrate_now(url)
        asyncio.run(_require_own_storage(settings, given))
        opened.callback(signals.ignore)
        signals.exit_on_next()
        _announce(settings, listener)
        return _serve(settings, listener, signals)


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


async def _require_own_storage(settings: Settings, url: str) -> None:
    """Refuse a storage that is not the database's; while it cannot be told, the service waits."""
    database = Database(url)
    try:
        with suppress(DatabaseUnavailable, StorageError):
            await StorageIdentity(database, open_storage(settings)).establish()
    finally:
        await database.close()


async def _require_unused_storage(settings: Settings) -> None:
    """Refuse to make a new database beside images that belong to one."""
    with suppress(StorageError):
        await require_unused(open_storage(settings))


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit, often 1024, to the hard one, and warn if that is not enough."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS knows a limit that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < wanted:
        _log.warning(
            "MAX_CONNECTIONS may need %s open files and the system allows %s: set less, or raise "
            "the limit (ulimit -n)",
            wanted,
            most,
        )


def _serve(settings: Settings, listener: socket.socket, signals: "_Signals") -> int:
    config = uvicorn.Config(
        "app.main:application",
        factory=True,
        workers=settings.workers,
        log_config=log_config(settings.log_format),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        http=bounded_protocol(settings.max_connections),
        ws="none",
        lifespan="on",
        backlog=settings.backlog,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    if settings.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
        return _EXIT_OK
    server = uvicorn.Server(config)
    signals.stop_on_next(server)
    server.run(sockets=[listener])
    return _EXIT_OK if server.started else _EXIT_FAILED


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    """Take the address before anything is started, so that a taken one fails at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        found = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
        raise CannotListen(f"Port {port} of {host} {found}; set HOST or PORT.") from error
    return listener


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - shown, not bound
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"Image host: {address}\nDocs:       {address}/docs", flush=True)
    if settings.is_open_to_the_network:
        _log.warning(
            "%s is reachable from other machines and API_KEY is empty: anyone who reaches it "
            "may upload and delete",
            settings.host,
        )


class _Signals:
    """SIGINT and SIGTERM, while uvicorn does not look after them itself.

    Until the database is up they are remembered, so that it is not left half started; then they
    end the program; while it ends they are ignored.
    """

    def __init__(self) -> None:
        self._remembered = False
        self._handle_with(self._remember)

    def exit_on_next(self) -> None:
        """End the program on the next signal, or now if there has been one."""
        self._handle_with(self._exit)
        if self._remembered:
            self._exit()

    def stop_on_next(self, server: uvicorn.Server) -> None:
        """Stop a server on the next signal, also while it is still loading what it serves.

        An exception may get lost there, in a callback that lets none out.
        """

        def stop(*_: object) -> None:
            server.should_exit = True

        self._handle_with(stop)

    def ignore(self) -> None:
        """Let nothing interrupt the end."""
        self._handle_with(signal.SIG_IGN)

    def end_on_hangup(self) -> None:
        """Treat a terminal that is closed like Ctrl-C, unless `nohup` had it ignored."""
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))

    def _handle_with(self, handler: "signal._HANDLER") -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, handler)

    def _remember(self, *_: object) -> None:
        self._remembered = True

    def _exit(self, *_: object) -> None:
        raise SystemExit(_EXIT_OK)


def _fail(status: int, message: str) -> int:
    print(message, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
