"""A deleted image is gone: its row, and then its file."""

import asyncio
from time import monotonic

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.errors import (
    ImageNotFound,
    StorageUnavailable,
)
from app.services import images
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.live import TIMEOUT
from testkit.renditions import put_thumbnails
from testkit.uploads import (
    LIMITS,
    assert_nothing_is_left,
    file,
    row_keys,
    stored_keys,
)

JPEG = samples.jpeg()
REMEMBERED = 0.1
"""Seconds, here."""


async def test_a_deleted_image_is_gone_and_a_second_time_not_found(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await services.images.delete(image.id)
    await assert_nothing_is_left(database, storage)
    for act in (services.images.get, services.images.delete):
        with pytest.raises(ImageNotFound):
            await act(image.id)


async def test_the_row_is_removed_before_the_files(database: Database) -> None:
    class Ordered(MemoryStorage):
        async def delete(self, key: str) -> None:
            assert await row_keys(database) == []
            await super().delete(key)

    storage = Ordered()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    async with database.write() as session:
        await put_thumbnails(session, storage, image)
    await services.images.delete(image.id)
    assert await stored_keys(storage) == []


async def test_an_image_is_deleted_even_if_a_file_cannot_be_removed(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are, and the answer waits until no process remembers the image."""

    class Stuck(MemoryStorage):
        stuck = ""

        async def delete(self, key: str) -> None:
            if key == self.stuck:
                raise StorageUnavailable
            await super().delete(key)

    monkeypatch.setattr(images, "REMEMBERED_SECONDS", REMEMBERED)
    storage = Stuck()
    services = Services(database, storage, LIMITS)
    for stuck in range(4):
        image = await services.uploads.upload(file(JPEG), None)
        async with database.write() as session:
            keys = [image.storage_key, *await put_thumbnails(session, storage, image)]
        storage.stuck = keys[stuck]
        began = monotonic()
        await services.images.delete(image.id)
        assert monotonic() - began >= REMEMBERED
        assert await row_keys(database) == []
        assert await stored_keys(storage) == [storage.stuck]
        assert f"its file {storage.stuck} may be left behind" in caplog.text
        storage.stuck, stuck_key = "", storage.stuck
        await storage.delete(stuck_key)


async def test_thumbnails_are_deleted_with_their_image(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    kept, image = [await services.uploads.upload(file(JPEG), None) for _ in range(2)]
    async with database.write() as session:
        of_kept = await put_thumbnails(session, storage, kept)
        await put_thumbnails(session, storage, image)
    await services.images.delete(image.id)
    assert await stored_keys(storage) == sorted([kept.storage_key, *of_kept])


async def until_a_statement_waits_for_a_lock(database: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(TIMEOUT):
        count = 0
        while not count:
            async with database.read() as session:
                count = await session.scalar(waiting)


async def test_a_thumbnail_rendered_while_its_image_is_deleted_is_deleted_too(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    """The delete waits for the row, and removes what it names then."""
    image = await services.uploads.upload(file(JPEG), None)
    async with database.write() as session:
        await session.execute(text("SELECT FROM images FOR UPDATE"))
        deletion = asyncio.create_task(services.images.delete(image.id))
        await until_a_statement_waits_for_a_lock(database)
        await put_thumbnails(session, storage, image)
    await deletion
    await assert_nothing_is_left(database, storage)


async def test_two_deletes_at_once_remove_once(services: Services) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    outcomes = await asyncio.gather(
        *(services.images.delete(image.id) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ImageNotFound"] * 7 + [
        "NoneType"
    ]
