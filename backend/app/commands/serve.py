"""The command that serves: `python -m app`."""

import logging
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Final, NamedTuple

from sqlalchemy.engine import URL

from app import __version__
from app.commands.migrate import migrate_and_print
from app.commands.runner import EXPECTED, explain, require_usable
from app.composition.http_app import create_process_app
from app.composition.observation import require_metrics_package
from app.composition.resources import located_database, open_storage
from app.composition.roles import SERVICE
from app.config.settings import Settings
from app.config.values import is_loopback
from app.database.embedded import embedded_postgres, has_database
from app.database.engine import Database
from app.observability.metrics.folder import metrics_folder
from app.runtime import signals
from app.server.http_server import Server
from app.server.listener import (
    address_of,
    allow_open_files,
    listen,
    listen_for_metrics,
    refuse_new_connections,
)
from app.server.process_kinds import (
    CannotServe,
    MetricsProcess,
    ProcessKind,
    ServerProcesses,
    Workers,
)
from app.server.supervised import failure
from app.server.supervisor import Supervisor
from app.services.identity import require_unused

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1

COMMAND_CONNECTIONS: Final = 30
"""Database connections for commands beside the service, such as fsck and a backup."""

_log = logging.getLogger("app")


def run(settings: Settings) -> int:
    """Serve until a signal ends it.

    Returns:
        0 = a signal has stopped it, 1 = it could not serve, and why.
    """
    allow_open_files(settings)
    own_postgres = partial(_own_postgres, settings)
    try:
        with ExitStack() as opened:
            listener = opened.enter_context(listen(settings))
            metrics = opened.enter_context(_metrics(settings)) if settings.metrics_address else None
            located = opened.enter_context(located_database(settings, own_postgres))
            signals.run(require_usable(located, SERVICE))
            announce = partial(_announce, settings, listener, metrics)
            try:
                if metrics or settings.workers > 1:
                    _serve_by_processes(located, listener, announce, metrics)
                else:
                    _serve_here(located, listener, announce)
            finally:
                signals.ignore()
    except EXPECTED as error:
        print(explain(error), file=sys.stderr)
        return EXIT_FAILED
    return EXIT_STOPPED


class _Metrics(NamedTuple):
    """What the metrics need."""

    listener: socket.socket
    folder: Path


@contextmanager
def _metrics(settings: Settings) -> Iterator[_Metrics]:
    require_metrics_package()
    with listen_for_metrics(settings) as listener, metrics_folder() as folder:
        yield _Metrics(listener, folder)


@contextmanager
def _own_postgres(settings: Settings, folder: Path) -> Iterator[URL]:
    """Run the embedded PostgreSQL, for the service and for commands beside it, and migrate it.

    Raises:
        WrongStorage: If the database would be new, and the images of another one are there.
    """
    if not has_database(folder):
        signals.run(_require_unused(settings))
    print("Starting the embedded PostgreSQL", flush=True)
    processes = settings.workers + settings.worker_processes
    connections = processes * settings.database_connections + COMMAND_CONNECTIONS
    with embedded_postgres(folder, connections) as url:
        signals.run(migrate_and_print(Database(url)))
        yield url


async def _require_unused(settings: Settings) -> None:
    storage = open_storage(settings)
    try:
        await require_unused(storage)
    finally:
        await storage.close()


def _serve_here(
    settings: Settings, listener: socket.socket, on_serving: Callable[[], None]
) -> None:
    """Serve in this process, which watches its workers in a thread."""
    is_announced = False
    received: list[int] = []
    workers = Supervisor(pickle.dumps(settings), _workers(settings))
    watching = Thread(target=workers.run)

    async def beat() -> None:
        nonlocal is_announced
        if not is_announced:
            is_announced = True
            on_serving()
            if settings.worker_processes:
                with signals.held():  # for this thread alone
                    watching.start()

    try:
        with signals.held():
            server = Server(create_process_app(settings), settings, listener, beat)

            def stop(number: int, frame: FrameType | None) -> None:
                received.append(number)
                refuse_new_connections(listener)
                server.handle_exit(number, frame)
                workers.stop(at_once=server.force_exit)

            signals.handle(stop, *signals.ENDING)
        server.run()
    except Exception as error:
        raise CannotServe(failure(error)) from error
    finally:
        workers.stop()
        if watching.ident:
            watching.join()
    if not is_announced:
        raise signals.Interrupted(received[0])


def _serve_by_processes(
    settings: Settings,
    listener: socket.socket,
    on_serving: Callable[[], None],
    metrics: _Metrics | None = None,
) -> None:
    """Serve in other processes, and watch these."""
    received: list[int] = []
    command = _command("server_process")
    servers = ServerProcesses(command, settings.workers, listener, on_serving)
    kinds: list[ProcessKind] = [servers, *_workers(settings)]
    if metrics:
        kinds.append(MetricsProcess(_command("metrics_process"), metrics.listener))
    folder = metrics.folder if metrics else None
    supervisor = Supervisor(pickle.dumps(settings), kinds, folder)

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        supervisor.stop(at_once=received.count(signal.SIGINT) > 1)

    # Else one that arrives just before a wait would be handled after it.
    signal.set_wakeup_fd(supervisor.waker.fileno(), warn_on_full_buffer=False)
    signals.handle(stop, *signals.ENDING)
    try:
        supervisor.run()
    finally:
        signal.set_wakeup_fd(-1)
    if not servers.have_served:
        raise signals.Interrupted(received[0])


def _workers(settings: Settings) -> list[Workers]:
    if not settings.worker_processes:
        return []
    return [Workers(_command("worker_process"), settings.worker_processes)]


def _command(module: str) -> list[str]:
    return [sys.executable, "-m", f"app.commands.{module}"]


def _announce(settings: Settings, listener: socket.socket, metrics: _Metrics | None) -> None:
    address = address_of(listener)
    print(f"Image host: {address}\nDocs:       {address}/docs", flush=True)
    _log.info("version %s serves at %s", __version__, address)
    if metrics:
        print(f"Metrics:    {address_of(metrics.listener)}/metrics", flush=True)
        if not is_loopback(settings.metrics_listener[0]):
            _log.warning(
                "METRICS_ADDRESS %s is reachable from other machines: whoever reaches it reads how "
                "much is stored and what fails",
                settings.metrics_address,
            )
    if settings.is_open_to_the_network:
        _log.warning(
            "%s is reachable from other machines and ACCESS is open: anyone who reaches it may "
            "list, upload and delete; set API_KEY, or ACCESS to upload or keys",
            settings.host,
        )
    if settings.is_filled_by_the_network:
        _log.warning(
            "%s is reachable from other machines and ACCESS is upload: anyone who reaches it may "
            "upload as much as they like; set UPLOADS_PER_HOUR_PER_IP",
            settings.host,
        )
