"""The schema of the database: which revision it has, and how it comes to the one this code needs.

The revisions lie in `backend/alembic/versions`; nothing else makes or changes tables (ADR 0016).
Alembic itself is loaded only where there is something to migrate: a service that finds its schema
as it should be does not need it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database, ReadSession
from app.database.legacy_schema import has_images, is_as_before_migrations

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0003"
"""The revision that this code needs. Ids are numbers of four digits, each greater than the last."""
FIRST: Final = "0001"
"""The revision of a database that the service made before there were migrations."""

LOCK_SECONDS: Final = 2
"""How long a migration may queue for a table, for whoever comes after it queues behind it.

Longer than PostgreSQL's deadlock_timeout (1 s): only then is an autovacuum in the way cancelled.
"""
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0
"""Between attempts, so that those who queued get through; and to look whether others are done."""
OTHERS_SECONDS: Final = 600
"""How long to wait for another process that is migrating."""

_SCRIPTS: Final = Path(__file__).parents[2] / "alembic"
_ADVISORY_LOCK: Final = 0x696D6167_65686F73
"""("imagehos") Lets one process at a time migrate."""
_LOCK_NOT_AVAILABLE: Final = "55P03"


class SchemaError(Exception):
    """The schema is not the one that is needed; the sentence tells what to do."""


class OlderSchema(SchemaError):
    """The database has not been migrated yet."""

    def __init__(self, revision: str | None) -> None:
        found = f"is at {revision}" if revision else "has not been migrated"
        super().__init__(
            f"The schema of the database {found}, and this version needs {HEAD}: run "
            "`make migrate` (in a container: `python -m app migrate`), then start again."
        )


class NewerSchema(SchemaError):
    """The database has been migrated for a later version, which this one is not compatible with."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"The schema of the database is at {revision}, and this version knows none after "
            f"{HEAD}: run the version that migrated it, or let that one go back with "
            f"`make migrate ARGS='--to {HEAD}'`."
        )


class ForeignSchema(SchemaError):
    """The database belongs to something else, or somebody changed its table."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"The database has {found} that no version of this service made; nothing was changed. "
            "Name another database in DATABASE_URL."
        )


class WrongEncoding(SchemaError):
    """The database cannot keep every name of a file."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database has the encoding {encoding}, which cannot keep every file name: make "
            "another with CREATE DATABASE images ENCODING 'UTF8' TEMPLATE template0 and name it "
            "in DATABASE_URL; what is in this one comes along with pg_dump and pg_restore."
        )


async def require_head(database: Database) -> None:
    """Check that the schema is the one that this code needs, or a later one that it works with.

    Raises:
        OlderSchema: If it has to be migrated first; an empty database too.
        NewerSchema: If a later version has migrated it and this code does not work with that.
        ForeignSchema: If something else has.
        WrongEncoding: If it is not UTF8.
        DatabaseUnavailable: If that cannot be told.
    """
    async with database.read() as session:
        await _require_utf8(session)
        revision = await _revision(session)
        if revision is None or revision < HEAD:
            raise OlderSchema(revision)
        if revision > HEAD and not await _is_compatible(session):
            raise NewerSchema(revision)


async def migrate(
    database: Database, report: Callable[[str], object], target: str | None = None
) -> str:
    """Bring the schema to a revision, up or down; where it is there already, do nothing.

    A schema of a later version that works with this code too is left as it is (ADR 28), unless
    another revision is asked for.

    Any number of processes may do so at once: one works, the others wait for it. A database that
    the service made before there were migrations is recognised. A migration that is stopped, or
    cannot have a table for itself, can be repeated; nothing is lost.

    Args:
        database: What to migrate.
        report: Takes a line for each thing that a person may want to know meanwhile.
        target: The revision; None = what this code needs.

    Returns:
        The revision that the schema has then.

    Raises:
        SchemaError: If it cannot be done; the sentence tells why.
        DatabaseUnavailable: If the database is away.
    """
    wanted = HEAD if target is None else target
    if not (_is_ours(wanted) and FIRST <= wanted <= HEAD):
        raise SchemaError(f"There is no revision {wanted!r}; they go from {FIRST} to {HEAD}.")
    async with _alone(database, report), database.maintain() as connection:
        event.listen(connection.sync_connection, "begin", _limit_queueing)
        await _require_utf8(connection)
        revision = await _revision(connection)
        if revision is None and await has_images(connection):
            if not await is_as_before_migrations(connection):
                raise ForeignSchema("a table `images`")
            report(f"The tables are those of before there were migrations: that is {FIRST}")
            await connection.run_sync(_run, "stamp", FIRST)
            revision = FIRST
        if revision is not None and revision > HEAD:
            if target is None and await _is_compatible(connection):
                report(
                    f"A later version has migrated the database; this one ({HEAD}) works with it"
                )
                return revision
            raise NewerSchema(revision)
        if revision != wanted:
            report(f"Migrating the database from {revision or 'nothing'} to {wanted}")
            command = "upgrade" if (revision or "") < wanted else "downgrade"
            await _run_when_free(connection, report, command, wanted)
        return wanted


async def _require_utf8(database: AsyncConnection | ReadSession) -> None:
    encoding: str = (await database.scalars(text("SHOW server_encoding"))).one()
    if encoding != "UTF8":
        raise WrongEncoding(encoding)


async def _revision(database: AsyncConnection | ReadSession) -> str | None:
    """Tell the revision of the database; None if it has none.

    Raises:
        ForeignSchema: If it is not one of this service, of whatever version.
    """
    if not await database.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    revision: str | None = await database.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and not _is_ours(revision):
        raise ForeignSchema(f"a revision {revision!r}")
    return revision


async def _is_compatible(database: AsyncConnection | ReadSession) -> bool:
    """Return whether a later schema says that this code works with it."""
    compatible_from = await database.scalar(text("SELECT compatible_from FROM installation"))
    return compatible_from is not None and compatible_from <= HEAD


def _is_ours(revision: str) -> bool:
    return re.fullmatch("[0-9]{4}", revision) is not None


@asynccontextmanager
async def _alone(database: Database, report: Callable[[str], object]) -> AsyncIterator[None]:
    """Hold the lock that lets one process at a time migrate, until the end of the block.

    A transaction of a connection of its own holds it: a pooler gives the rest of a session away.
    CREATE INDEX CONCURRENTLY waits for every transaction with a snapshot. So this one is READ
    COMMITTED, which keeps none between statements, and a waiter asks in a new one each time.
    """
    deadline = time.monotonic() + OTHERS_SECONDS
    reported = False
    async with database.maintain() as connection:
        await connection.execution_options(isolation_level="READ COMMITTED")
        while not await connection.scalar(
            text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
        ):
            await connection.rollback()
            if not reported:
                report("Waiting for another process that is migrating")
                reported = True
            if time.monotonic() > deadline:
                raise SchemaError(
                    f"Another process has been migrating for {OTHERS_SECONDS} seconds."
                )
            await asyncio.sleep(PAUSE_SECONDS)
        # The answer's portal, and its snapshot with it, lasts until the next statement.
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        yield


def _limit_queueing(connection: Connection) -> None:
    """Limit how long a transaction queues for a table.

    What runs outside of one takes no lock that reads and writes queue behind.
    """
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")


async def _run_when_free(
    connection: AsyncConnection, report: Callable[[str], object], command: str, target: str
) -> None:
    """Run a command of Alembic, again while a table is in use by something that takes long."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await connection.run_sync(_run, command, target)
        except PendingRollbackError as error:
            # Alembic tries to commit what a cancelled statement has broken off.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from error
            raise
        except DBAPIError as error:
            if not _is_in_use(error):
                raise
            if attempt == ATTEMPTS:
                raise SchemaError(
                    "Something has been using the tables all the while, such as a backup, or a "
                    "transaction that somebody left open. Try again when it has ended."
                ) from error
            if attempt == 1:
                report("Waiting for a moment in which nothing long uses the tables")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _is_in_use(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def _run(connection: Connection, command: str, revision: str) -> None:
    from alembic import command as commands  # noqa: PLC0415 - see the top

    connection.rollback()  # Alembic begins its own transactions
    getattr(commands, command)(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> "Config":
    """Tell Alembic where the revisions lie, and which connection to use."""
    from alembic.config import Config  # noqa: PLC0415 - see the top

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
