"""A deleted image is gone: its row, and then its file."""

import asyncio
from time import monotonic
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.errors import (
    ImageNotFound,
    StorageUnavailable,
)
from app.services import removal
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.databases import until_a_statement_waits_for_a_lock
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
    await services.deletion.delete(image.id)
    await assert_nothing_is_left(database, storage)
    for act in (services.images.get, services.deletion.delete):
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
    await services.deletion.delete(image.id)
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

    monkeypatch.setattr(removal, "REMEMBERED_SECONDS", REMEMBERED)
    storage = Stuck()
    services = Services(database, storage, LIMITS)
    for stuck in range(4):
        image = await services.uploads.upload(file(JPEG), None)
        async with database.write() as session:
            keys = [image.storage_key, *await put_thumbnails(session, storage, image)]
        storage.stuck = keys[stuck]
        began = monotonic()
        await services.deletion.delete(image.id)
        assert monotonic() - began >= REMEMBERED
        assert await row_keys(database) == []
        assert await stored_keys(storage) == [storage.stuck]
        assert f"its file {storage.stuck} no more, but that may be left behind" in caplog.text
        storage.stuck, stuck_key = "", storage.stuck
        await storage.delete(stuck_key)


async def test_thumbnails_are_deleted_with_their_image(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    kept, image = [await services.uploads.upload(file(JPEG), None) for _ in range(2)]
    async with database.write() as session:
        of_kept = await put_thumbnails(session, storage, kept)
        await put_thumbnails(session, storage, image)
    await services.deletion.delete(image.id)
    assert await stored_keys(storage) == sorted([kept.storage_key, *of_kept])


async def test_a_thumbnail_rendered_while_its_image_is_deleted_is_deleted_too(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    """The delete waits for the row, and removes what it names then."""
    image = await services.uploads.upload(file(JPEG), None)
    async with database.write() as session:
        await session.execute(text("SELECT FROM images FOR UPDATE"))
        deleting = asyncio.create_task(services.deletion.delete(image.id))
        await until_a_statement_waits_for_a_lock(database)
        await put_thumbnails(session, storage, image)
    await deleting
    await assert_nothing_is_left(database, storage)


async def test_two_deletes_at_once_remove_once(services: Services) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    outcomes = await asyncio.gather(
        *(services.deletion.delete(image.id) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ImageNotFound"] * 7 + [
        "NoneType"
    ]


async def test_a_batch_deletes_the_images_that_there_are_with_all_their_files(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    kept, *images = [await services.uploads.upload(file(JPEG), None) for _ in range(30)]
    async with database.write() as session:
        of_kept = await put_thumbnails(session, storage, kept)
        for image in images:
            await put_thumbnails(session, storage, image)
    ids = {image.id for image in images}
    assert await services.deletion.delete_batch([uuid4(), *ids]) == ids
    assert await services.deletion.delete_batch(ids) == set()
    assert await row_keys(database) == [kept.storage_key]
    assert await stored_keys(storage) == sorted([kept.storage_key, *of_kept])


async def test_of_overlapping_batches_each_image_is_deleted_by_one(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    ids = [(await services.uploads.upload(file(JPEG), None)).id for _ in range(20)]
    batches = [ids[:15], ids[::-1][:15], ids[5:], ids[::-1]]
    deleted = await asyncio.gather(*map(services.deletion.delete_batch, batches))
    assert sorted(one for some in deleted for one in some) == sorted(ids)
    await assert_nothing_is_left(database, storage)


async def test_files_of_a_batch_are_removed_a_few_at_once(database: Database) -> None:
    storage = Counting()
    services = Services(database, storage, LIMITS)
    ids = [(await services.uploads.upload(file(JPEG), None)).id for _ in range(50)]
    assert len(await services.deletion.delete_batch(ids)) == 50
    assert storage.most == removal.FILES_AT_ONCE
    assert await stored_keys(storage) == []


async def test_where_a_file_of_a_batch_cannot_be_removed_all_others_are_tried_at_once(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A storage that hangs costs a batch two timeouts, not one for each group of files."""
    monkeypatch.setattr(removal, "REMEMBERED_SECONDS", REMEMBERED)
    storage = Counting(fails=True)
    services = Services(database, storage, LIMITS)
    ids = [(await services.uploads.upload(file(JPEG), None)).id for _ in range(50)]
    began = monotonic()
    assert await services.deletion.delete_batch(ids) == set(ids)
    assert monotonic() - began >= REMEMBERED
    assert storage.most == 50 - removal.FILES_AT_ONCE
    assert await row_keys(database) == []
    assert all(f"image {one} needs its file" in caplog.text for one in ids)


class Counting(MemoryStorage):
    """Counts the deletes that are in progress at once."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.now = self.most = 0

    async def delete(self, key: str) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1
        if self.fails:
            raise StorageUnavailable
        await super().delete(key)
