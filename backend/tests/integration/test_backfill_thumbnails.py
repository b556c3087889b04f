"""Images without thumbnails or metadata are rendered by workers, beside a running service."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.image import Position
from app.domain.job import Priority
from app.queue.task import Task
from app.queue.worker import QueueWorker
from app.services import backfill_thumbnails
from app.services.backfill_thumbnails import NoWorker, RenderOutcome, ThumbnailBackfill
from app.statements.backfill import find_rendering_states, list_unrendered
from app.statements.images import delete_images, find_images
from app.storage.memory import MemoryStorage
from testkit.databases import explain
from testkit.jobs import rows
from testkit.live import TIMEOUT, until
from testkit.renditions import STAND_INS, put_thumbnails
from testkit.uploads import add, execute, row

SIZES = (150, 300)
THUMBNAILS = {size: STAND_INS[size] for size in SIZES}
NOW = datetime.now(UTC)


async def add_images(database: Database) -> dict[str, UUID]:
    """Add rows in every state, one a minute, the last the newest; return their ids."""
    rendered: dict[str, Any] = {"rendered_at": NOW, "thumbnail_sizes": [*SIZES], "extracted": {}}
    broken: dict[str, Any] = {"render_error": "It is broken.", "extracted": {}}
    states: dict[str, dict[str, Any]] = {
        "new": {},
        "rendered": rendered,
        "of more sizes": rendered | {"thumbnail_sizes": [800, 300, 150]},
        "of fewer sizes": rendered | {"thumbnail_sizes": [150, 800]},
        "broken": broken,
        "broken since": rendered | {"thumbnail_sizes": [150]} | broken,
        "of an earlier version": rendered | {"extracted": None},
        "refused by an earlier version": broken | {"extracted": None},
        "newest": {},
    }
    rows = [
        row(NOW + timedelta(minutes=number), **state)
        for number, state in enumerate(states.values())
    ]
    ids = {name: row.id for name, row in zip(states, rows, strict=True)}
    await add(database, *rows)
    return ids


class Render:
    """What a worker does with an image, here: it gives it thumbnails, without decoding it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._storage = MemoryStorage()
        self.rendered: list[UUID] = []
        self.most_queued = 0

    async def __call__(self, subject: str) -> None:
        image_id = UUID(subject)
        self.most_queued = max(self.most_queued, len(await queued(self._database)))
        async with self._database.read() as session:
            image = (await find_images(session, [image_id]))[image_id]
        async with self._database.write() as session:
            await put_thumbnails(session, self._storage, image, THUMBNAILS)
        self.rendered.append(image_id)


@asynccontextmanager
async def working(database: Database, run: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """Run a worker during the block."""
    task = Task("render", run, set_aside=None, seconds=TIMEOUT)
    worker = QueueWorker(database, [task], concurrency=1)
    running = asyncio.create_task(worker.run())
    try:
        await until(lambda: worker.is_consuming)
        yield
    finally:
        worker.stop()
        await running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_thumbnails, "POLL_SECONDS", 0.01)


UNFINISHED = (
    "newest",
    "refused by an earlier version",
    "of an earlier version",
    "of fewer sizes",
    "new",
)
"""Of `add_images`, newest first."""


async def test_what_lacks_metadata_or_sizes_of_today_is_listed_newest_first(
    database: Database,
) -> None:
    ids = await add_images(database)
    found: list[UUID] = []
    last: Position | None = None
    pages = 0
    while True:
        async with database.read() as session:
            page, last = await list_unrendered(session, SIZES, last, 2)
        if last is None:
            break
        pages += 1
        found += page
    assert found == [ids[name] for name in UNFINISHED]
    assert pages == 5


async def test_it_is_counted_in_steps_of_bounded_length(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_thumbnails, "ROWS_READ_AT_ONCE", 2)
    assert await ThumbnailBackfill(database, SIZES).count() == 0
    await add_images(database)
    assert await ThumbnailBackfill(database, SIZES).count() == len(UNFINISHED)


async def test_rows_are_read_in_the_order_of_an_index(database: Database) -> None:
    await execute(
        database,
        "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', md5(n::text) || '.jpg', "
        "'image/jpeg', 1, NULL, now() - n * interval '1 minute' "
        "FROM generate_series(1, 20000) AS n",
        "ANALYZE images",
    )
    last = Position(NOW - timedelta(days=5), UUID(int=0))
    plan = await explain(database, lambda session: list_unrendered(session, SIZES, last, 500))
    assert "ix_images_created_at_id" in plan
    assert "Sort" not in plan
    ids = [UUID(int=number) for number in range(2000)]
    plan = await explain(database, lambda session: find_rendering_states(session, SIZES, ids))
    assert "pk_images" in plan


async def backfill(database: Database) -> Counter[RenderOutcome]:
    count = Counter[RenderOutcome]()
    await ThumbnailBackfill(database, SIZES).run(count.update)
    return +count


async def queued(database: Database) -> list[tuple[object, ...]]:
    return await rows(database, "task_name, args->>'subject', priority")


async def test_every_image_is_rendered_newest_first_and_none_a_second_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_thumbnails, "GROUP", 1)
    ids = await add_images(database)
    render = Render(database)
    async with working(database, render):
        expected = {RenderOutcome.DONE: len(UNFINISHED) - 1, RenderOutcome.FAILED: 1}
        assert await backfill(database) == expected
        assert await backfill(database) == {}
    assert render.rendered == [ids[name] for name in UNFINISHED]
    assert await queued(database) == []


async def test_no_more_than_so_many_are_queued_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_thumbnails, "ROWS_READ_AT_ONCE", 10)
    monkeypatch.setattr(backfill_thumbnails, "MOST_QUEUED", 6)
    monkeypatch.setattr(backfill_thumbnails, "GROUP", 3)
    await add(database, *(row() for _ in range(35)))
    render = Render(database)
    async with working(database, render):
        assert await backfill(database) == {RenderOutcome.DONE: 35}
    assert 3 < render.most_queued <= 6


async def test_a_run_that_is_stopped_leaves_its_jobs_and_the_next_continues(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_thumbnails, "MOST_QUEUED", 4)
    monkeypatch.setattr(backfill_thumbnails, "GROUP", 2)
    await add(database, *(row() for _ in range(9)))
    stopped = asyncio.create_task(backfill(database))
    while len(await queued(database)) < 4:  # noqa: ASYNC110 - nobody sets an event for it
        await asyncio.sleep(0.01)
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    jobs = await queued(database)
    assert len(jobs) == 4
    assert {(task, priority) for task, _, priority in jobs} == {("render", Priority.BACKLOG)}
    render = Render(database)
    async with working(database, render):
        await backfill(database)
    assert len(set(render.rendered)) == 9
    assert await ThumbnailBackfill(database, SIZES).count() == 0


async def test_images_that_cannot_be_rendered_or_are_deleted_do_not_hold_up_the_others(
    database: Database,
) -> None:
    rows = [row() for _ in range(6)]
    await add(database, *rows)
    broken, deleted = str(rows[1].id), str(rows[2].id)
    render = Render(database)

    async def render_some(subject: str) -> None:
        async with database.write() as session:
            if subject == broken:
                await session.execute(
                    text(
                        "UPDATE images SET render_error = 'Broken.', metadata = '{}' WHERE id = :id"
                    ),
                    {"id": UUID(subject)},
                )
            elif subject == deleted:
                await delete_images(session, [UUID(subject)])
        if subject not in {broken, deleted}:
            await render(subject)

    async with working(database, render_some):
        expected = {RenderOutcome.DONE: 4, RenderOutcome.FAILED: 1, RenderOutcome.DELETED: 1}
        assert await backfill(database) == expected
        assert await backfill(database) == {}


async def test_an_image_whose_job_ends_without_a_trace_in_its_row_is_not_waited_for(
    database: Database,
) -> None:
    await add(database, row())
    waiting = asyncio.create_task(backfill(database))
    while not await queued(database):  # noqa: ASYNC110 - nobody sets an event for it
        await asyncio.sleep(0.01)
    await execute(database, "UPDATE procrastinate_jobs SET status = 'failed'")
    assert await waiting == {RenderOutcome.LEFT: 1}


async def test_a_run_ends_where_there_is_no_worker(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_thumbnails, "WORKERLESS_SECONDS", 0.1)
    await add(database, *(row() for _ in range(3)))
    with pytest.raises(NoWorker, match="no worker takes jobs"):
        await backfill(database)
    assert len(await queued(database)) == 3
    async with working(database, Render(database)):
        await backfill(database)
    assert await ThumbnailBackfill(database, SIZES).count() == 0


async def test_a_worker_that_lives_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long one rendering takes."""
    monkeypatch.setattr(backfill_thumbnails, "WORKERLESS_SECONDS", 0.1)
    await add(database, row())
    render = Render(database)

    async def render_slowly(subject: str) -> None:
        await asyncio.sleep(5 * backfill_thumbnails.WORKERLESS_SECONDS)
        await render(subject)

    async with working(database, render_slowly):
        assert await backfill(database) == {RenderOutcome.DONE: 1}
