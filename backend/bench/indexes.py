"""Tries indexes that the schema does not have, over a million rows: `python -m bench.indexes`.

Each is created in a transaction that is rolled back. Shown are its size, what it adds to what an
insert writes (WAL), and what a statement takes without and with it (ADR 53).
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.engine import URL

from app.database.embedded import embedded_postgres
from app.domain.image import Image
from bench import seed
from bench.__main__ import folder_of
from bench.site import Site

if TYPE_CHECKING:
    import asyncpg


_IMAGE: Final = f"SELECT {', '.join(Image._fields)} FROM images"  # noqa: S608 - our own
_KEYS: Final = {"id", "created_at"}
_REST: Final = ", ".join(name for name in Image._fields if name not in _KEYS)
_NEWEST: Final = "ORDER BY created_at DESC, id DESC LIMIT 21"
_INCOMPLETE: Final = "checksum IS NULL OR width IS NULL"
ROUNDS: Final = 300
INSERTED: Final = 10_000
_INSERT: Final = f"""
INSERT INTO images (id, filename, storage_key, content_type, file_size, upload_ip, checksum, search)
SELECT gen_random_uuid(), filename, gen_random_uuid()::text, content_type, file_size, upload_ip,
       sha256(uuid_send(gen_random_uuid())), search
FROM images LIMIT {INSERTED}
"""  # noqa: S608 - our own
_DROP_KEYS: Final = "ALTER TABLE images DROP CONSTRAINT uq_images_storage_key"
_DROP_NEWEST: Final = "DROP INDEX ix_images_created_at_id"


class Candidate(NamedTuple):
    """An index, and what it is for."""

    definition: str
    statement: str
    """With the columns of `parameters` as its parameters."""
    parameters: str = ""
    instead: str = "SELECT"
    """What removes the index that the statement uses today."""


CANDIDATES: Final = {
    "hash, id": Candidate(
        "USING hash (id)",
        f"{_IMAGE} WHERE id = ANY($1)",
        "ARRAY[id]",
        "ALTER TABLE images DROP CONSTRAINT pk_images",
    ),
    "hash, storage key": Candidate(
        "USING hash (storage_key)", f"{_IMAGE} WHERE storage_key = $1", "storage_key", _DROP_KEYS
    ),
    "hash, checksum": Candidate(
        "USING hash (checksum)", f"{_IMAGE} WHERE checksum = $1", "checksum"
    ),
    "B-tree, checksum": Candidate("(checksum)", f"{_IMAGE} WHERE checksum = $1", "checksum"),
    "covering, first page": Candidate(
        f"(created_at DESC, id DESC) INCLUDE ({_REST})", f"{_IMAGE} {_NEWEST}", "", _DROP_NEWEST
    ),
    "covering, any page": Candidate(
        f"(created_at DESC, id DESC) INCLUDE ({_REST})",
        f"{_IMAGE} WHERE (created_at, id) < ($1, $2) {_NEWEST}",
        "created_at, id",
        _DROP_NEWEST,
    ),
    "covering, 500 rows of fsck": Candidate(
        "(storage_key) INCLUDE (file_size, checksum, thumbnail_sizes, rendered_at)",
        "SELECT storage_key, file_size, checksum, thumbnail_sizes, rendered_at FROM images "
        "WHERE storage_key > $1 ORDER BY storage_key LIMIT 500",
        "storage_key",
        _DROP_KEYS,
    ),
    "BRIN, first page": Candidate(
        "USING brin (created_at)", f"{_IMAGE} {_NEWEST}", "", _DROP_NEWEST
    ),
    "BRIN, page of a month": Candidate(
        "USING brin (created_at)",
        f"{_IMAGE} WHERE created_at >= $1 AND created_at < $1 + interval '1 month' {_NEWEST}",
        "created_at",
        _DROP_NEWEST,
    ),
    "partial, count of incomplete rows": Candidate(
        f"(storage_key) WHERE {_INCOMPLETE}",
        f"SELECT count(*) FROM images WHERE {_INCOMPLETE}",  # noqa: S608 - our own
    ),
}


async def measure(
    connection: "asyncpg.Connection[asyncpg.Record]", statement: str, parameters: str
) -> float:
    """Return the median of the milliseconds that a statement takes, from here, on cached rows."""
    known: list[Any] = [()]
    if parameters:
        sample = f"SELECT {parameters} FROM images TABLESAMPLE SYSTEM (1)"  # noqa: S608 - our own
        known = await connection.fetch(sample)
    prepared = await connection.prepare(statement)
    times: list[float] = []
    for number in range(ROUNDS):
        begin = perf_counter()
        await prepared.fetch(*known[number % len(known)])
        times.append(1000 * (perf_counter() - begin))
        if sum(times) > 5_000:
            break
    return median(times)


async def written(connection: "asyncpg.Connection[asyncpg.Record]") -> float:
    """Return the bytes of the log that the insertion of a row writes."""
    async with rolled_back(connection):
        begin = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
        await connection.execute(_INSERT)
        size = await connection.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", begin)
    return float(size) / INSERTED


@asynccontextmanager
async def rolled_back(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[None]:
    """Open a transaction that leaves nothing behind."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def compare(url: URL) -> None:
    """Print a line for each candidate."""
    async with seed.connect(url) as connection:
        # Or else most of the log is whole pages, once after each checkpoint, by chance.
        await connection.execute("ALTER SYSTEM SET full_page_writes = off")
        await connection.execute("SELECT pg_reload_conf()")
        print(f"{'index':36} {'MB':>6} {'B/insert':>9} {'ms today':>9} {'ms with it':>11}")
        for name, (definition, statement, parameters, instead) in CANDIDATES.items():
            await connection.execute("VACUUM images")
            before = await measure(connection, statement, parameters)
            async with rolled_back(connection):
                await connection.execute(instead)
                await connection.execute(f"CREATE INDEX tried ON images {definition}")
                size = await connection.fetchval("SELECT pg_relation_size('tried')")
                after = await measure(connection, statement, parameters)
            today = await written(connection)
            async with rolled_back(connection):
                await connection.execute(f"CREATE INDEX tried ON images {definition}")
                more = await written(connection) - today
            print(f"{name:36} {size / 1e6:6.1f} {more:+9.0f} {before:9.3f} {after:11.3f}")
        await connection.execute("ALTER SYSTEM RESET full_page_writes")


def main() -> None:
    """Try them over the large host of the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench.indexes", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="as for `make bench`")
    options = parser.parse_args()
    with folder_of(options.keep) as folder, ExitStack() as opened:
        host = Site(folder, opened).large_host
        with embedded_postgres(host.data / "postgres") as url:
            asyncio.run(compare(url))


if __name__ == "__main__":
    main()
