"""Watches for the right schema beside a service that was started without it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from app.database.engine import Database
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable
from app.observability.reasons import reason

RETRY_SECONDS: Final = 1.0
"""Between checks of the schema while the database is unavailable, or not migrated yet."""

_log = logging.getLogger(__name__)


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
