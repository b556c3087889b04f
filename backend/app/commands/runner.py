"""Runs a command over the service's resources; a failure that is no defect is one line."""

import sys
from collections.abc import Awaitable, Callable
from typing import Final

from app.composition.observation import CannotMeasure
from app.composition.resources import (
    CannotCache,
    CannotStore,
    Resources,
    located_database,
    open_resources,
)
from app.composition.roles import COMMAND, Role
from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, shared_postgres
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable, StorageError
from app.observability.reasons import reason
from app.runtime import signals
from app.server.listener import CannotListen
from app.server.process_kinds import CannotServe
from app.services.identity import StorageIdentity, WrongStorage

EXPECTED: Final = (
    CannotCache,
    CannotListen,
    CannotMeasure,
    CannotServe,
    CannotStore,
    DatabaseUnavailable,
    EmbeddedDatabaseError,
    SchemaError,
    StorageError,
    WrongStorage,
)
"""What may prevent a command from its work, whatever the command."""


def run(
    settings: Settings, work: Callable[[Resources], Awaitable[int]], undone: str, status: int
) -> int:
    """Do a command's work, beside the service or without it; return the exit status.

    Args:
        settings: Which resources.
        work: What the command does; returns the exit status.
        undone: Begins the line that says why the work could not be done, such as "Not checked".
        status: The exit status then.
    """

    async def do_work(located: Settings) -> int:
        async with open_resources(located, COMMAND) as resources:
            return await work(resources)

    try:
        with located_database(settings, shared_postgres) as located:
            return signals.run(do_work(located))
    except EXPECTED as error:
        print(f"{undone}: {explain(error)}", file=sys.stderr)
        return status


async def require_usable(settings: Settings, role: Role) -> None:
    """Refuse a wrong schema, a storage of another database, and a login that is refused.

    A database or storage that is unavailable is waited for, and checked then.
    """
    async with open_resources(settings, role) as resources:
        try:
            await require_head(resources.database)
            await StorageIdentity(resources.database, resources.storage).establish()
        except DatabaseUnavailable as error:
            if error.refused:
                raise
        except StorageError:
            pass


def explain(error: Exception) -> str:
    """Return what an expected error means, in one line for the operator."""
    if isinstance(error, StorageError):
        return f"The image storage cannot be used: {reason(error)}"
    return reason(error) if isinstance(error, DatabaseUnavailable) else str(error)
