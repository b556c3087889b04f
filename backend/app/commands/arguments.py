"""The arguments of `python -m app`: which command to run."""

import argparse
import logging.config
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import Final

from app.commands import (
    fsck_options,
    jobs,
    keys,
    migrate,
    monitoring_options,
    move_options,
    record_backup,
    users,
)
from app.config.environment import InvalidSettings, load_settings
from app.config.settings import Settings
from app.config.values import is_listener
from app.observability.logs import log_config
from app.runtime import signals

EXIT_BAD_SETTINGS: Final = 2
_SMALL: Final[dict[str | None, Callable[[Settings, argparse.Namespace], int]]] = {
    "jobs": jobs.run,
    "keys": keys.run,
    "migrate": migrate.run,
    "record-backup": lambda settings, _: record_backup.run(settings),
    "users": users.run,
}
"""Commands that need nothing which a service does without."""


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name, else serve; return the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error, in every locale
    parser = argparse.ArgumentParser(
        prog="python -m app", description="Serves, unless another command is named."
    )
    commands = parser.add_subparsers(dest="command")
    fsck_options.add_arguments(commands.add_parser("fsck", help="compare rows and files"))
    migrate.add_arguments(commands.add_parser("migrate", help="bring the schema up to date"))
    jobs.add_arguments(commands.add_parser("jobs", help="show the queue, and what was set aside"))
    users.add_arguments(commands.add_parser("users", help="add, list, disable and delete users"))
    keys.add_arguments(commands.add_parser("keys", help="create, list and revoke API keys"))
    commands.add_parser(
        "backfill",
        aliases=["backfill-dimensions"],
        help="complete images of earlier versions: dimensions, checksum, truncated, thumbnails",
    )
    move_options.add_arguments(
        commands.add_parser("move-storage", help="copy all files to another storage, and compare")
    )
    commands.add_parser("record-backup", help="record that a backup has been made now")
    for_worker = commands.add_parser("worker", help="do jobs, such as rendering thumbnails")
    for_worker.add_argument(
        "--health-port",
        metavar="PORT",
        type=int,
        help="answer /health/live and /health/ready on HOST at this port; without it, nowhere",
    )
    for_worker.add_argument(
        "--metrics-address",
        metavar="HOST:PORT",
        type=_listener,
        help="answer /metrics there; without it, nowhere",
    )
    commands.add_parser("front", help="run nginx in front of the service, on FRONT_PORT")
    monitoring_options.add_arguments(
        commands.add_parser("monitoring", help="run Prometheus and its Alertmanager")
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
    except InvalidSettings as error:
        print(f"Bad settings:\n{error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    return _run(settings, options)


def _listener(text: str) -> str:
    if not is_listener(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port, such as 127.0.0.1:9465")
    return text


def _run(settings: Settings, options: argparse.Namespace) -> int:  # noqa: PLR0911 - one a command
    if small := _SMALL.get(options.command):
        return small(settings, options)
    match options.command:
        case "fsck":
            with signals.held():  # as in `__main__`; a service does without what only this needs
                from app.commands import fsck  # noqa: PLC0415
            return fsck.run(settings, options)
        case "backfill" | "backfill-dimensions":
            with signals.held():
                from app.commands import backfill  # noqa: PLC0415
            return backfill.run(settings)
        case "move-storage":
            with signals.held():
                from app.commands import move_storage  # noqa: PLC0415
            return move_storage.run(settings, options)
        case "worker":
            with signals.held():
                from app.commands import worker  # noqa: PLC0415
            return worker.run(settings, options.health_port, options.metrics_address)
        case "front":
            with signals.held():
                from app.commands import front  # noqa: PLC0415
            return front.run(settings)
        case "monitoring":
            with signals.held():
                from app.commands import monitoring  # noqa: PLC0415
            return monitoring.run(settings, options)
        case _:
            with signals.held():
                from app.commands import serve  # noqa: PLC0415
            return serve.run(settings)
