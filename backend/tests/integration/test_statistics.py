"""Downloads on their way from memory to the database, for any number of processes."""

import asyncio
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.domain.actor import Actor
from app.domain.errors import ImageNotFound
from app.services import statistics
from app.services.use_cases import Services
from app.statements.images import delete_images
from app.statements.statistics import Day, add_downloads, find_downloads
from app.storage.memory import MemoryStorage
from testkit.database_proxy import DatabaseProxy
from testkit.live import TIMEOUT
from testkit.uploads import LIMITS, add, row

DAYS = [date(2026, 1, 1), date(2026, 1, 2)]


def services_of(database: Database) -> Services:
    return Services(database, MemoryStorage(), LIMITS)


async def stored(database: Database, image_id: UUID) -> tuple[int, int]:
    async with database.read() as session:
        return (await find_downloads(session, image_id, 366))[:2]


async def test_what_processes_count_adds_up_in_one_statement_each(
    database: Database, proxy: DatabaseProxy
) -> None:
    images = [row() for _ in range(20)]
    await add(database, *images)
    behind_proxy = Database(proxy.url)
    for counting in (services_of(database), services_of(behind_proxy)):
        for _ in range(30):
            for image in images:
                counting.statistics.count(image.id, 0, 1000)
                counting.statistics.count(image.id, 1, 7)
        await counting.statistics.flush()
        await counting.statistics.flush()
    for image in images:
        assert await stored(database, image.id) == (60, 60 * 1007)
    assert len([s for s in proxy.statements if "image_statistics" in s]) == 1
    await behind_proxy.close()


async def test_days_are_by_themselves_newest_first_and_totals_are_of_all(
    database: Database,
) -> None:
    image = row()
    await add(database, image)
    async with database.write_alone() as session:
        for _ in range(2):
            await add_downloads(
                session, [(image.id, Day(day, 1, 10 * number)) for number, day in enumerate(DAYS)]
            )
    async with database.read() as session:
        totals = await find_downloads(session, image.id, 1)
    assert totals == (4, 20, [Day(DAYS[1], 2, 20)])


async def test_a_download_counts_on_the_day_it_ended_utc(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = row()
    await add(database, image)
    counting = services_of(database).statistics
    for moment in ("2026-01-01T23:59:59.9+00:00", "2026-01-02T00:00:00+00:00"):
        monkeypatch.setattr(statistics, "time", datetime.fromisoformat(moment).timestamp)
        counting.count(image.id, 0, 5)
    await counting.flush()
    assert (await counting.find(image.id)).days == [Day(day, 1, 5) for day in DAYS[::-1]]


async def test_the_downloads_of_deleted_images_are_left_out_and_hinder_no_others(
    database: Database,
) -> None:
    image, deleted = row(), row()
    await add(database, image, deleted)
    services = services_of(database)
    for one in (image.id, deleted.id, uuid4()):
        services.statistics.count(one, 0, 5)
    await services.statistics.flush()
    await services.deletion.delete(deleted.id)
    services.statistics.count(deleted.id, 0, 5)
    await services.statistics.flush()
    assert await stored(database, image.id) == (1, 5)
    assert await stored(database, deleted.id) == (0, 0)


async def test_groups_and_deletes_of_the_same_images_never_wait_for_each_other(
    database: Database, database_url: URL
) -> None:
    images = [row() for _ in range(30)]
    await add(database, *images)
    today = datetime.now(UTC).date()

    async def count(ids: list[UUID]) -> None:
        own = Database(database_url)
        for _ in range(20):
            async with own.write_alone() as session:
                await add_downloads(session, [(one, Day(today, 1, 1)) for one in ids])
        await own.close()

    async def delete(ids: list[UUID]) -> None:
        own = Database(database_url)
        for start in range(0, len(ids), 5):
            async with own.write() as session:
                await delete_images(session, ids[start : start + 5])
        await own.close()

    ids = [image.id for image in images]
    await asyncio.gather(count(ids), count(ids[::-1]), delete(ids[:15]), delete(ids[14::-1]))
    for number, one in enumerate(ids):
        assert await stored(database, one) == ((40, 40) if number >= 15 else (0, 0))


async def test_downloads_wait_while_the_database_is_unavailable(
    database: Database, proxy: DatabaseProxy, caplog: pytest.LogCaptureFixture
) -> None:
    image = row()
    await add(database, image)
    behind_proxy = Database(proxy.url)
    counting = services_of(behind_proxy).statistics
    for _ in range(2):
        proxy.cut("\n    WITH existing", "before")
        counting.count(image.id, 0, 5)
        await counting.flush()
    assert await stored(database, image.id) == (0, 0)
    assert caplog.text.count("downloads are not counted yet") == 2
    counting.count(image.id, 0, 5)
    await counting.flush()
    assert await stored(database, image.id) == (3, 15)
    await behind_proxy.close()


async def test_memory_is_bounded_and_what_is_missed_is_logged(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(statistics, "MOST_COUNTED", 2)
    images = [row() for _ in range(3)]
    await add(database, *images)
    counting = services_of(database).statistics
    for image in images * 2:
        counting.count(image.id, 0, 5)
    await counting.flush()
    assert [await stored(database, image.id) for image in images] == [(2, 10), (2, 10), (0, 0)]
    assert "2 downloads are in no statistics" in caplog.text


async def test_memory_is_bounded_too_by_what_is_kept_for_the_next_time(
    database: Database,
    proxy: DatabaseProxy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(statistics, "MOST_COUNTED", 2)
    images = [row() for _ in range(4)]
    await add(database, *images)
    behind_proxy = Database(proxy.url)
    counting = services_of(behind_proxy).statistics
    proxy.cut("\n    WITH existing", "before")
    for image in images[:2]:
        counting.count(image.id, 0, 5)
    flushing = asyncio.create_task(counting.flush())
    await asyncio.sleep(0)
    for image in images[2:]:
        counting.count(image.id, 0, 5)
    await flushing
    await counting.flush()
    assert [await stored(database, image.id) for image in images] == [(0, 0)] * 2 + [(1, 5)] * 2
    assert "2 downloads are in no statistics" in caplog.text
    await behind_proxy.close()


async def test_what_is_counted_is_stored_after_the_interval_and_at_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = row()
    await add(database, image)
    counting = services_of(database).statistics
    monkeypatch.setattr(statistics, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(statistics, "CLOSE_SECONDS", TIMEOUT)
    async with counting.recorded():
        counting.count(image.id, 0, 5)
        async with asyncio.timeout(TIMEOUT):
            while await stored(database, image.id) != (1, 5):
                pass
        monkeypatch.setattr(statistics, "INTERVAL_SECONDS", 3600)
        counting.count(image.id, 0, 5)
    assert await stored(database, image.id) == (2, 10)


async def test_statistics_are_those_of_images_that_the_actor_reaches(database: Database) -> None:
    image = row()
    await add(database, image)
    with pytest.raises(ImageNotFound):
        await services_of(database).statistics.find(image.id, Actor(user_id=uuid4()))
