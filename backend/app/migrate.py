"""The command that brings the schema of the database up to date: `python -m app migrate`."""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from typing import Final

from sqlalchemy.engine import URL

from app.config import Settings
from app.database import Database
from app.embedded import EmbeddedDatabaseError, shared_postgres
from app.errors import DatabaseUnavailable
from app.migrations import HEAD, SchemaError, migrate

EXIT_DONE: Final = 0
EXIT_NOT_MIGRATED: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument(
        "--to",
        default=HEAD,
        metavar="REVISION",
        help=f"the revision to go to, also back; {HEAD}, the newest, is the default",
    )


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Migrate, and say what was done.

    Returns:
        0 = the schema is as it was asked for, 1 = it is not, and why.
    """
    try:
        with ExitStack() as opened:
            url = settings.database_url.get_secret_value() or opened.enter_context(
                shared_postgres(settings.data_dir / "postgres")
            )
            migrate_now(url, options.to)
    except DatabaseUnavailable as error:
        cause = getattr(error.__cause__, "orig", error.__cause__)
        print(f"Not migrated: {error} ({cause})", file=sys.stderr)
        return EXIT_NOT_MIGRATED
    except (EmbeddedDatabaseError, SchemaError) as error:
        print(f"Not migrated: {error}", file=sys.stderr)
        return EXIT_NOT_MIGRATED
    print(f"The schema of the database is at {options.to}.")
    return EXIT_DONE


def migrate_now(url: str | URL, target: str = HEAD) -> None:
    """Migrate, with the lines of `migrate` on standard output.

    Raises:
        SchemaError: As `migrate`.
        DatabaseUnavailable: As `migrate`.
    """
    asyncio.run(migrate(Database(url), lambda line: print(line, flush=True), target))
