"""The revision of the schema: which one a database has, and whether this code works with it.

The revisions lie in `backend/alembic/versions`; nothing else creates or changes tables (ADR 16).
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database, ReadSession
from app.domain.errors import DatabaseUnavailable
from app.observability.reasons import reason

HEAD: Final = "0012"
"""The revision that this code needs. Ids are numbers of four digits, each greater than the last."""
FIRST: Final = "0001"
"""The revision of a legacy schema."""
RETRY_SECONDS: Final = 1.0
"""Between checks of the schema while the database is unavailable, or not migrated yet."""

_log = logging.getLogger(__name__)


class SchemaError(Exception):
    """The schema is not the one that is needed; the sentence says what to do."""


async def require_head(database: Database) -> None:
    """Check that the schema is the one that this code needs, or a later one that it works with.

    Raises:
        SchemaError: If it has to be migrated first, as an empty database has; if a later version
            has migrated it and this code does not work with that; if it is another program's.
        DatabaseUnavailable: If the database cannot be asked.
    """
    async with database.read() as session:
        await require_utf8(session)
        revision = await read_revision(session)
        if revision is None or revision < HEAD:
            found = f"is at {revision}" if revision else "has not been migrated"
            raise SchemaError(
                f"The schema of the database {found}, and this version needs {HEAD}: run "
                "`make migrate` (in a container: `python -m app migrate`), then start again."
            )
        if revision > HEAD and not await is_compatible(session):
            raise newer_schema(revision)


@asynccontextmanager
async def watched_schema(database: Database) -> AsyncIterator[None]:
    """Log what is wrong with the schema, and check it until nothing is or the block ends.

    The command that starts a service refuses a wrong schema; this is for a database that was
    unavailable at that moment. Until it is there and migrated, clients are answered 503.
    """
    problem = await _find_problem(database)
    if not problem:
        yield
        return
    watching = asyncio.create_task(_watch(database, problem))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(database: Database, problem: str) -> None:
    logged = ""
    try:
        while problem:
            if problem != logged:
                _log.error(problem)
                logged = problem
            await asyncio.sleep(RETRY_SECONDS)
            problem = await _find_problem(database)
    except Exception:  # noqa: BLE001 - nobody awaits the task before the service ends
        _log.exception("the schema of the database cannot be checked")
    else:
        _log.info("the database is available, and its schema is up to date")


async def _find_problem(database: Database) -> str:
    """Return in one line what is wrong; empty if nothing is."""
    try:
        await require_head(database)
    except SchemaError as error:
        return str(error)
    except DatabaseUnavailable as error:
        return f"waiting for the database: {reason(error)}"
    return ""


async def require_utf8(database: AsyncConnection | ReadSession) -> None:
    """Check that the database can keep every file name.

    Raises:
        SchemaError: If it cannot.
    """
    encoding: str = (await database.scalars(text("SHOW server_encoding"))).one()
    if encoding != "UTF8":
        raise SchemaError(
            f"The database has the encoding {encoding}, which cannot keep every file name: make "
            "another with CREATE DATABASE images ENCODING 'UTF8' TEMPLATE template0 and name it "
            "in DATABASE_URL; pg_dump and pg_restore bring along what is in this one."
        )


async def read_revision(database: AsyncConnection | ReadSession) -> str | None:
    """Return the revision of the database, None if it has none.

    Raises:
        SchemaError: If it is of another program.
    """
    if not await database.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    revision: str | None = await database.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and not is_revision(revision):
        raise foreign_schema(f"a revision {revision!r}")
    return revision


async def is_compatible(database: AsyncConnection | ReadSession) -> bool:
    """Return whether a later schema declares that this code works with it (ADR 28)."""
    compatible_from = await database.scalar(text("SELECT compatible_from FROM installation"))
    return compatible_from is not None and compatible_from <= HEAD


def newer_schema(revision: str) -> SchemaError:
    """Return the error about a schema of a later version, which this one does not work with."""
    return SchemaError(
        f"The schema of the database is at {revision}, and this version knows none after {HEAD}: "
        "run the version that migrated it, or have that version downgrade it with "
        f"`make migrate ARGS='--to {HEAD}'`."
    )


def foreign_schema(found: str) -> SchemaError:
    """Return the error about a database of another program, or a table that somebody changed."""
    return SchemaError(
        f"The database has {found} that no version of this service made; nothing was changed. "
        "Name another database in DATABASE_URL."
    )


def is_revision(revision: str) -> bool:
    """Return whether an id has the form of ours, of whatever version."""
    return re.fullmatch("[0-9]{4}", revision) is not None
