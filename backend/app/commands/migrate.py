"""The command that brings the schema of the database up to date: `python -m app migrate`."""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from typing import Final

from sqlalchemy.engine import URL

from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, shared_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.database.revisions import HEAD, SchemaError
from app.domain.errors import DatabaseUnavailable
from app.observability.reasons import reason

EXIT_DONE: Final = 0
EXIT_NOT_MIGRATED: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument(
        "--to",
        metavar="REVISION",
        help=f"the revision to go to, also back; without it to {HEAD}, which this version needs",
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
            revision = migrate_now(url, options.to)
    except DatabaseUnavailable as error:
        print(f"Not migrated: {reason(error)}", file=sys.stderr)
        return EXIT_NOT_MIGRATED
    except (EmbeddedDatabaseError, SchemaError) as error:
        print(f"Not migrated: {error}", file=sys.stderr)
        return EXIT_NOT_MIGRATED
    print(f"The schema of the database is at {revision}.")
    return EXIT_DONE


def migrate_now(url: str | URL, target: str | None = None) -> str:
    """Migrate, with the lines of `migrate` on standard output; return the revision.

    Raises:
        SchemaError: As `migrate`.
        DatabaseUnavailable: As `migrate`.
    """
    return asyncio.run(migrate(Database(url), lambda line: print(line, flush=True), target))
