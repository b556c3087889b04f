"""The revision of the schema: which one a database has, and whether this code works with it.

The revisions lie in `backend/alembic/versions`; nothing else creates or changes tables (ADR 16).
"""

import re
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database, ReadSession

HEAD: Final = "0003"
"""The revision that this code needs. Ids are numbers of four digits, each greater than the last."""
FIRST: Final = "0001"
"""The revision of a legacy schema."""


class SchemaError(Exception):
    """The schema is not the one that is needed; the sentence says what to do."""


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
            f"{HEAD}: run the version that migrated it, or have that version downgrade it with "
            f"`make migrate ARGS='--to {HEAD}'`."
        )


class ForeignSchema(SchemaError):
    """The database belongs to another program, or somebody changed its table."""

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
            "in DATABASE_URL; pg_dump and pg_restore bring along what is in this one."
        )


async def require_head(database: Database) -> None:
    """Check that the schema is the one that this code needs, or a later one that it works with.

    Raises:
        OlderSchema: If it has to be migrated first; an empty database too.
        NewerSchema: If a later version has migrated it and this code does not work with that.
        ForeignSchema: If another program has.
        WrongEncoding: If it is not UTF8.
        DatabaseUnavailable: If the database cannot be asked.
    """
    async with database.read() as session:
        await require_utf8(session)
        revision = await read_revision(session)
        if revision is None or revision < HEAD:
            raise OlderSchema(revision)
        if revision > HEAD and not await is_compatible(session):
            raise NewerSchema(revision)


async def require_utf8(database: AsyncConnection | ReadSession) -> None:
    """Check that the database can keep every file name.

    Raises:
        WrongEncoding: If it cannot.
    """
    encoding: str = (await database.scalars(text("SHOW server_encoding"))).one()
    if encoding != "UTF8":
        raise WrongEncoding(encoding)


async def read_revision(database: AsyncConnection | ReadSession) -> str | None:
    """Return the revision of the database, None if it has none.

    Raises:
        ForeignSchema: If it is of another program.
    """
    if not await database.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
        return None
    revision: str | None = await database.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and not is_revision(revision):
        raise ForeignSchema(f"a revision {revision!r}")
    return revision


async def is_compatible(database: AsyncConnection | ReadSession) -> bool:
    """Return whether a later schema declares that this code works with it (ADR 28)."""
    compatible_from = await database.scalar(text("SELECT compatible_from FROM installation"))
    return compatible_from is not None and compatible_from <= HEAD


def is_revision(revision: str) -> bool:
    """Return whether an id has the form of ours, of whatever version."""
    return re.fullmatch("[0-9]{4}", revision) is not None
