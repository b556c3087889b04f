"""Shows how PostgreSQL carries out each statement over a million images: `make explain`.

The service is asked for everything that it can do, then its fsck and its backfill are run, and the
statements that reach the database are explained: the real ones, with what it costs to carry them
out. At the end is how often each index was used for that.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple
from uuid import uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from app.api.images.cursor import encode_cursor
from app.api.images.paths import BATCH_DELETE_PATH, COUNT_PATH, IMAGES_PATH, UPLOAD_PATH
from app.commands import backfill, fsck, fsck_options
from app.composition.http_app import create_app
from app.config.settings import Settings
from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.domain.image import Position
from app.schemas.changes import MOST_DELETED
from app.statements.attempts import prune_failed_jobs, take_up_lost_jobs
from app.statements.jobs import age_of_oldest_job, list_failed_jobs
from bench import seed
from bench.__main__ import folder_of
from bench.host import Host
from bench.site import SMALL, Site
from bench.work import require
from testkit.live import serve

MIDDLE: Final = 500_000
"""The row of the list at which a page is asked for."""

START: Final = "start"
EXPLAINED: Final = {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}
"""Statements that have a plan; SHOW, as commands send it, has none."""
STRAY: Final = f"{0:032x}.jpg"
BROKEN_ROW: Final = """
INSERT INTO images (id, filename, storage_key, content_type, file_size)
VALUES (gen_random_uuid(), 'gone.jpg', 'ffffffffffffffffffffffffffffffff.jpg', 'image/jpeg', 9)
ON CONFLICT DO NOTHING
"""
JOBS: Final = """
INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock)
SELECT 'render', 'render', 'render:' || id FROM images
"""
"""As many jobs as images, queued."""
INDEXES: Final = """
SELECT indexrelname, pg_relation_size(indexrelid) / 1000000, idx_scan
FROM pg_stat_user_indexes WHERE relname IN ('images', 'procrastinate_jobs') ORDER BY indexrelid
"""

SEARCHES: Final = {
    "a rare word": {"q": "hasselblad"},
    "a frequent word": {"q": "img"},
    "a word of half of the images, all of them old": {"q": "canon"},
    "a word that no image has": {"q": "zebra"},
    "two words": {"q": "dsc 0042"},
    "two frequent words that no image has together": {"q": "screenshot whatsapp"},
    "a word and a type": {"q": "img", "type": "image/png"},
    "a type": {"type": "image/png"},
    "a month": {"from": "2026-01-01", "to": "2026-01-31"},
    "a type and a month": {"type": "image/png", "from": "2026-01-01", "to": "2026-01-31"},
}
"""What is searched for, by what it is."""


class Query(NamedTuple):
    """A statement as it reached the driver."""

    text: str
    arguments: Sequence[object]


Queries = dict[str, list[Query]]
"""What reached the database, by what was asked for."""


@contextmanager
def heard() -> Iterator[list[Query]]:
    """Collect what all engines of this process send to their databases in the block."""
    queries: list[Query] = []

    def listen(
        _connection: Connection,
        _cursor: object,
        text: str,
        arguments: Sequence[Any],
        *rest: object,
    ) -> None:
        _context, for_many = rest
        queries.append(Query(text, arguments[0] if for_many else arguments))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield queries
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def ask(settings: Settings, middle: Position, other: Position) -> Queries:
    """Use the service in every way that asks the database.

    Metadata and file are those of different images, for it remembers what it has just read.
    """
    page = f"{IMAGES_PATH}?limit=20"
    image = f"{IMAGES_PATH}/{middle.id}"
    asked: Queries = {}
    with (
        heard() as queries,
        serve(create_app(settings)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):

        def note(name: str, answer: httpx.Response) -> httpx.Response:
            answer.raise_for_status()
            asked[name] = list(queries)
            queries.clear()
            require(asked[name] or name == START, f"{name} sent nothing to the database")
            return answer

        note(START, client.get("/health/live"))
        note("GET /health/ready", client.get("/health/ready"))
        note("GET /api/v1/images/{id}", client.get(image))
        note("GET /api/v1/images/{id}/file", client.get(f"{IMAGES_PATH}/{other.id}/file"))
        note("GET /api/v1/images, first page", client.get(page))
        cursor = encode_cursor(middle)
        note(f"the same, at row {MIDDLE:,}", client.get(f"{page}&cursor={cursor}"))
        files = {"file": SMALL.content(Random())}
        added = note(
            "POST /api/v1/images/upload, with a quota", client.post(UPLOAD_PATH, files=files)
        )
        image = added.headers["location"]
        note("PATCH /api/v1/images/{id}", client.patch(image, json={"filename": "a.jpg"}))
        note("DELETE /api/v1/images/{id}", client.delete(image))
        ids = [str(uuid4()) for _ in range(MOST_DELETED)]
        note(
            f"POST {BATCH_DELETE_PATH}, as many as it may",
            client.post(BATCH_DELETE_PATH, json={"ids": ids}),
        )
    del asked[START]
    return asked


def search(settings: Settings, middle: Position) -> Queries:
    """List and count by each filter, from the newest image on and from the middle of the list."""
    asked: Queries = {}
    with (
        heard() as queries,
        serve(create_app(settings)) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client,
    ):

        def note(name: str, path: str, params: dict[str, str]) -> None:
            queries.clear()
            client.get(path, params=params).raise_for_status()
            asked[name] = list(queries)

        cursor = encode_cursor(middle)
        for name, params in SEARCHES.items():
            note(f"GET /api/v1/images, {name}", IMAGES_PATH, params)
            note(f"the same, at row {MIDDLE:,}: {name}", IMAGES_PATH, params | {"cursor": cursor})
            note(f"GET /api/v1/images/count, {name}", COUNT_PATH, params)
    return asked


def check(settings: Settings) -> Queries:
    """Let fsck find a row without a file, and a file without a row."""
    (settings.data_dir / "images" / STRAY[:2] / STRAY).write_bytes(b"stray")
    parser = argparse.ArgumentParser()
    fsck_options.add_arguments(parser)
    with heard() as queries:
        options = ["--repair", "--delete-broken-rows", "--grace=0"]
        fsck.run(settings, parser.parse_args(options))
    require(queries, "fsck sent nothing to the database")
    return {"make fsck": queries}


def measure_again(settings: Settings) -> Queries:
    """Let the backfill find a row without dimensions or terms, one without a file, no worker."""
    with heard() as queries:
        status = backfill.run(settings)
    require(status == backfill.EXIT_NOT_DONE, "the backfill has found a worker")
    return {"make backfill": queries}


async def keep_queue(url: URL) -> Queries:
    """Do what workers do for the queue beside its jobs."""
    database = Database(url)
    with heard() as queries:
        async with database.write() as session:
            await take_up_lost_jobs(session)
            await prune_failed_jobs(session)
        async with database.read() as reading:
            await age_of_oldest_job(reading)
            await list_failed_jobs(reading, 0, 20)
    await database.close()
    return {"beside a million jobs": queries}


async def plans(url: URL, asked: Queries) -> None:
    """Print each statement, and how it was carried out when what it reads was cached."""
    async with seed.connect(url) as connection:
        for warm in (False, True):
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(BROKEN_ROW)
            await connection.execute(JOBS)
            await connection.execute("ANALYZE procrastinate_jobs")
            for name, queries in asked.items():
                first = dict(reversed(queries))
                for text, arguments in reversed(first.items()):
                    if text.split(maxsplit=1)[0] not in EXPLAINED:
                        continue
                    explain = f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {text}"
                    plan = await connection.fetch(explain, *arguments)
                    if warm:
                        lines = "\n".join(f"    {line}" for (line,) in plan)
                        print(f"{name}\n  {' '.join(text.split())}\n{lines}\n")
            await transaction.rollback()
        for index, size, scans in await connection.fetch(INDEXES):
            print(f"{index}: {size} MB, used {scans} times")


def explain(host: Host) -> None:
    """Explain all that the service asks the database of this host."""
    with embedded_postgres(host.data / "postgres") as url:
        settings = Settings(
            database_url=SecretStr(url.render_as_string(hide_password=False)),
            data_dir=host.data,
            uploads_per_hour_per_ip=1000,
        )
        order = f"ORDER BY created_at DESC, id DESC OFFSET {MIDDLE} LIMIT 2"
        query = f"SELECT created_at, id FROM images {order}"  # noqa: S608 - our own
        middle, other = (Position(*row) for row in asyncio.run(seed.execute(url, query)))
        asyncio.run(seed.execute(url, BROKEN_ROW))
        asked = ask(settings, middle, other) | search(settings, middle) | check(settings)
        asyncio.run(seed.execute(url, BROKEN_ROW))
        forget = "UPDATE images SET width = NULL, height = NULL, search = NULL WHERE id = $1"
        asyncio.run(seed.execute(url, forget, middle.id))
        asked |= measure_again(settings)
        asyncio.run(seed.execute(url, "DELETE FROM images WHERE filename = 'gone.jpg'"))
        asked |= asyncio.run(keep_queue(url))
        asyncio.run(plans(url, asked))


def main() -> None:
    """Explain over the large host of the benchmark."""
    parser = argparse.ArgumentParser(prog="make explain", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="as for `make bench`")
    options = parser.parse_args()
    with folder_of(options.keep) as folder, ExitStack() as opened:
        explain(Site(folder, opened).large_host)


if __name__ == "__main__":
    main()
