"""A deleted image is gone: its row, and then its file."""

import asyncio

import pytest

from app.database.engine import Database
from app.domain.errors import (
    ImageNotFound,
    StorageUnavailable,
)
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.uploads import (
    LIMITS,
    assert_nothing_is_left,
    file,
    row_keys,
    stored_keys,
)

JPEG = samples.jpeg()
PNG = samples.png()


async def test_a_deleted_image_is_gone_and_a_second_time_not_found(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await services.images.delete(image.id)
    await assert_nothing_is_left(database, storage)
    for act in (services.images.get, services.images.delete):
        with pytest.raises(ImageNotFound):
            await act(image.id)


async def test_the_row_is_removed_before_the_file(database: Database) -> None:
    class Ordered(MemoryStorage):
        async def delete(self, key: str) -> None:
            assert await row_keys(database) == []
            await super().delete(key)

    storage = Ordered()
    services = Services(database, storage, LIMITS)
    await services.images.delete((await services.uploads.upload(file(JPEG), None)).id)
    assert await stored_keys(storage) == []


async def test_an_image_is_deleted_even_if_its_file_cannot_be_removed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(MemoryStorage):
        async def delete(self, key: str) -> None:  # noqa: ARG002
            raise StorageUnavailable

    services = Services(database, Stuck(), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await services.images.delete(image.id)
    assert await row_keys(database) == []
    assert image.storage_key in caplog.text


async def test_two_deletes_at_once_remove_once(services: Services) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    outcomes = await asyncio.gather(
        *(services.images.delete(image.id) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ImageNotFound"] * 7 + [
        "NoneType"
    ]
