"""Migrations: bring the schema of a database to a revision, by Alembic.

Alembic is imported only where there is something to migrate: a service whose schema is up to date
does not need it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import revisions
from app.database.engine import Database
from app.database.legacy_schema import has_images, is_legacy
from app.database.revisions import FIRST, SchemaError

if TYPE_CHECKING:
    from alembic.config import Config

LOCK_SECONDS: Final = 2
"""How long a migration may queue for a table: every later statement queues behind it.

Longer than PostgreSQL's deadlock_timeout (1 s): only then is an autovacuum in the way cancelled.
"""
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0
"""Between attempts to lock: whoever is queued for a table gets it, another process may finish."""
OTHERS_SECONDS: Final = 600
"""How long to wait for another process that migrates: so many pauses."""

_SCRIPTS: Final = Path(__file__).parents[2] / "alembic"
_ADVISORY_LOCK: Final = 0x696D6167_65686F73
"""Of PostgreSQL ("imagehos" in ASCII): one process at a time migrates."""
_LOCK_NOT_AVAILABLE: Final = "55P03"


async def migrate(
    database: Database, report: Callable[[str], object], target: str | None = None
) -> str:
    """Upgrade or downgrade the schema to a revision; do nothing if it is there already.

    A later schema that is compatible with this code is left as it is (ADR 28), unless a revision
    is asked for. A legacy schema is recognised.

    Any number of processes may migrate at once: one works, the others wait for it. A migration that
    is stopped, or cannot lock a table, can be repeated; nothing is lost.

    Args:
        database: The database to migrate.
        report: Called with a line about each step, for people.
        target: The revision; None = the one that this code needs.

    Returns:
        The revision that the schema has in the end.

    Raises:
        SchemaError: If it cannot be done; the sentence says why.
        DatabaseUnavailable: If the database is unavailable.
    """
    wanted = revisions.HEAD if target is None else target
    if not (revisions.is_revision(wanted) and FIRST <= wanted <= revisions.HEAD):
        raise SchemaError(
            f"There is no revision {wanted!r}; they go from {FIRST} to {revisions.HEAD}."
        )
    async with _lock(database, report), database.maintain() as connection:
        event.listen(connection.sync_connection, "begin", _limit_queueing)
        await revisions.require_utf8(connection)
        revision = await revisions.read_revision(connection)
        if revision is None and await has_images(connection):
            if not await is_legacy(connection):
                raise revisions.foreign_schema("a table `images`")
            report(
                f"The schema is the legacy one, from before there were revisions: that is {FIRST}"
            )
            await connection.run_sync(_run, "stamp", FIRST)
            revision = FIRST
        if revision is not None and revision > revisions.HEAD:
            if target is None and await revisions.is_compatible(connection):
                report(
                    f"A later version has migrated the database to {revision}, which this one "
                    f"({revisions.HEAD}) works with"
                )
                return revision
            raise revisions.newer_schema(revision)
        if revision != wanted:
            report(f"Migrating the database from {revision or 'nothing'} to {wanted}")
            command = "upgrade" if (revision or "") < wanted else "downgrade"
            await _run_when_free(connection, report, command, wanted)
        return wanted


@asynccontextmanager
async def _lock(database: Database, report: Callable[[str], object]) -> AsyncIterator[None]:
    """Hold the lock that lets one process at a time migrate, until the end of the block.

    A transaction of a connection of its own holds it, for a pooler hands the rest of a session to
    other clients. CREATE INDEX CONCURRENTLY waits for every transaction with a snapshot. So this
    one is READ COMMITTED, which keeps none between statements, and each attempt is a new one.

    Raises:
        SchemaError: If another process holds it for too long, or the connection that holds it is
            lost; the block is cancelled then.
    """
    async with database.maintain() as connection:
        await connection.execution_options(isolation_level="READ COMMITTED")
        lock = text(f"SELECT pg_try_advisory_xact_lock({_ADVISORY_LOCK})")
        for attempt in range(OTHERS_SECONDS):
            if await connection.scalar(lock):
                break
            await connection.rollback()
            if attempt == 0:
                report("Waiting for another process that is migrating")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            raise SchemaError(f"Another process has been migrating for {OTHERS_SECONDS} seconds.")
        # The result's portal, and its snapshot with it, lasts until the next statement.
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver  # noqa: S101 - it has just been used
        try:
            async with asyncio.timeout(None) as held:

                def stop(_connection: object) -> None:
                    held.reschedule(0)

                driver.add_termination_listener(stop)
                try:
                    yield
                finally:
                    driver.remove_termination_listener(stop)
        except TimeoutError as error:
            await connection.invalidate()
            raise SchemaError(
                "The connection that holds the lock of migrations was lost: run it again."
            ) from error


def _limit_queueing(connection: Connection) -> None:
    """Limit how long a transaction queues for a table.

    Statements outside of one take no lock that reads and writes queue behind.
    """
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")


async def _run_when_free(
    connection: AsyncConnection, report: Callable[[str], object], command: str, target: str
) -> None:
    """Run a command of Alembic; retry while a long transaction locks a table."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await connection.run_sync(_run, command, target)
        except PendingRollbackError as error:
            # Alembic tries to commit a transaction that a cancelled statement has broken off.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError from error
            raise
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if attempt == ATTEMPTS:
                raise SchemaError(
                    "The tables are locked by something that takes long, such as a backup, or a "
                    "transaction that somebody left open. Try again when it has ended."
                ) from error
            if attempt == 1:
                report("Waiting for a transaction that locks the tables")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return


def _run(connection: Connection, command: str, revision: str) -> None:
    from alembic import command as commands  # noqa: PLC0415 - see the top

    connection.rollback()  # Alembic begins its own transactions
    getattr(commands, command)(alembic_config(connection), revision)


def alembic_config(connection: Connection) -> "Config":
    """Return Alembic's configuration: where the revisions lie, and which connection to use."""
    from alembic.config import Config  # noqa: PLC0415 - see the top

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config
