"""Fills an image host with images that look like those of real users: `make seed`.

Rows go in by COPY, past the service. Their files are hard links to a few images, so that a
million images take little more of the disk than a million names. In a bucket each is an object of
its own.
"""

import argparse
import asyncio
import json
import struct
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
from sqlalchemy.engine import URL, make_url
from tqdm import tqdm

from app.composition.resources import open_storage
from app.config.environment import InvalidSettings, load_settings
from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, embedded_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.database.revisions import SchemaError
from app.domain.errors import DatabaseUnavailable, StorageError
from app.domain.metadata import Metadata
from app.domain.search import terms_of
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from bench.images import Publisher, Row, link_files, rows, typical_specs

COUNT: Final = 1_000_000
BATCH: Final = 10_000
"""Rows of one COPY."""


class SeedRefused(Exception):
    """Nothing was added; the sentence says why."""


async def prepare(url: URL, storage: StorageBackend) -> None:
    """Make the tables and the folders, as the service makes them."""
    database = Database(url)
    try:
        await storage.prepare()
        await migrate(database, print)
    finally:
        await database.close()


def _record(row: Row) -> tuple[object, ...]:
    return *row, terms_of(row.filename, row.metadata)


def _jsonb(value: Metadata) -> bytes:
    """Encode as PostgreSQL receives it in binary: a version, and the text."""
    return b"\1" + json.dumps(value).encode()


def _tsvector(terms: Sequence[str]) -> bytes:
    """Encode as PostgreSQL receives it in binary: each with no positions."""
    return struct.pack(">i", len(terms)) + b"".join(term.encode() + bytes(3) for term in terms)


@asynccontextmanager
async def connect(url: URL) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of asyncpg's own, for COPY."""
    libpq = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(libpq)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: URL, statement: str, *arguments: object) -> "list[asyncpg.Record]":
    """Carry out a statement, and return its rows."""
    async with connect(url) as connection:
        return await connection.fetch(statement, *arguments)


async def fill(
    url: URL, images: Path, count: int, drawn: Iterator[Row], *, to_others: bool = False
) -> None:
    """Do as `fill_storage`, over a folder, for rows whose files are made as they are drawn."""
    storage = LocalStorage(images)
    try:
        await fill_storage(url, storage, count, drawn, to_others=to_others)
    finally:
        await storage.close()


async def fill_storage(  # noqa: PLR0913 - what it fills, and with what
    url: URL,
    storage: StorageBackend,
    count: int,
    drawn: Iterator[Row],
    publisher: Publisher | None = None,
    *,
    to_others: bool = False,
) -> None:
    """Make what the service would make at its start, and add rows.

    Args:
        url: Where the rows go.
        storage: Where their files are, or go.
        count: How many rows there are.
        drawn: The rows.
        publisher: Makes their files, where drawing a row does not.
        to_others: Whether they may be added to other images.

    Raises:
        SeedRefused: If there are images already, and these may not be added to them.
    """
    await prepare(url, storage)
    async with connect(url) as connection:
        if not to_others and await connection.fetchval("SELECT EXISTS (SELECT FROM images)"):
            raise SeedRefused("There are images already; to add to them say --add.")
        for name, encode in (("jsonb", _jsonb), ("tsvector", _tsvector)):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=encode, decoder=bytes, format="binary"
            )
        async with connection.transaction(), _without_indexes(connection):
            with tqdm(total=count, unit=" images", unit_scale=True, disable=None) as bar:
                while batch := list(islice(drawn, BATCH)):
                    if publisher:
                        batch = await publisher.complete(batch)
                    await connection.copy_records_to_table(
                        "images", records=map(_record, batch), columns=[*Row._fields, "search"]
                    )
                    bar.update(len(batch))
        await connection.execute("VACUUM (ANALYZE) images")
        await connection.execute("CHECKPOINT")


@asynccontextmanager
async def _without_indexes(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Drop the indexes, and create the same again at the end: faster than row by row."""
    constraints = await connection.fetch(
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE conrelid = 'images'::regclass AND contype IN ('p', 'u')
              OR confrelid = 'images'::regclass AND contype = 'f'
           ORDER BY contype = 'f'"""
    )
    for table, name, _ in reversed(constraints):
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'images'"
    )
    for name, _ in indexes:
        await connection.execute(f"DROP INDEX {name}")
    yield
    for table, name, definition in constraints:
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    for _, definition in indexes:
        await connection.execute(definition)


def main() -> int:
    """Fill the host that the service's own settings name; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="make seed", description=__doc__, epilog="The service must not be running."
    )
    parser.add_argument("--count", type=int, default=COUNT, help=f"images ({COUNT:,})")
    parser.add_argument("--add", action="store_true", help="also where there are images already")
    parser.add_argument("--rows-only", action="store_true", help="make no files")
    options = parser.parse_args()
    chance = Random()
    drawn = rows(options.count, typical_specs(chance), chance)
    try:
        settings = load_settings()
        if not options.rows_only and not settings.storage_url:
            drawn = link_files(settings.data_dir / "images", drawn, chance)
        with ExitStack() as opened:
            address = settings.database_url.get_secret_value()
            url = (
                make_url(address)
                if address
                else opened.enter_context(embedded_postgres(settings.data_dir / "postgres"))
            )
            asyncio.run(_fill(url, settings, options, drawn, chance))
    except (InvalidSettings, EmbeddedDatabaseError, SeedRefused) as error:
        print(error, file=sys.stderr)
        return 1
    except (SchemaError, DatabaseUnavailable, StorageError) as error:
        print(f"Nothing was added: {error}", file=sys.stderr)
        return 1
    place = settings.storage_url or settings.data_dir
    print(f"{options.count:,} images are in {place}; `make run` shows them.")
    return 0


async def _fill(
    url: URL, settings: Settings, options: argparse.Namespace, drawn: Iterator[Row], chance: Random
) -> None:
    storage = open_storage(settings)
    has_files = options.rows_only or not settings.storage_url
    publisher = None if has_files else Publisher(storage, chance)
    try:
        await fill_storage(url, storage, options.count, drawn, publisher, to_others=options.add)
    finally:
        await storage.close()


if __name__ == "__main__":
    sys.exit(main())
