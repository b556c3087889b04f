"""The command that brings the schema of the database up to date: `python -m app migrate`."""

import argparse
from typing import Final

from app.commands import runner
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.engine import Database
from app.database.migration import migrate
from app.database.revisions import HEAD

EXIT_DONE: Final = 0
EXIT_NOT_MIGRATED: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument(
        "--to",
        metavar="REVISION",
        help=f"the revision to upgrade or downgrade to; without it {HEAD}, which this version "
        "needs",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Migrate, and print what was done.

    Returns:
        0 = the schema is at the revision that was asked for, 1 = it is not, and why.
    """

    async def work(resources: Resources) -> int:
        revision = await migrate_and_print(resources.database, options.to)
        print(f"The schema of the database is at {revision}.")
        return EXIT_DONE

    return runner.run(settings, work, "Not migrated", EXIT_NOT_MIGRATED)


async def migrate_and_print(database: Database, target: str | None = None) -> str:
    """Do as `migrate`, and print its lines."""
    return await migrate(database, lambda line: print(line, flush=True), target)
