"""The file of an image is opened whole, or its damage is known."""

import pytest

from app.database.engine import Database
from app.domain.errors import (
    ImageDamaged,
    ImageNotFound,
)
from app.services.use_cases import Services
from app.storage.base import ObjectReader
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.uploads import (
    LIMITS,
    file,
)

JPEG = samples.jpeg()
PNG = samples.png()


async def test_a_file_that_is_gone_is_damage_and_not_a_missing_image(
    services: Services, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await storage.delete(image.storage_key)
    found = await services.files.find(image.id)
    with pytest.raises(ImageDamaged):
        await services.files.open(found, 0, 1)


async def test_a_file_of_another_size_is_never_sent(database: Database) -> None:
    closed = False

    class Shrunk(MemoryStorage):
        async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
            reader = await super().open(key, start, length)
            close = reader.close

            async def noted_close() -> None:
                nonlocal closed
                closed = True
                await close()

            reader.size -= 1  # type: ignore[misc]
            reader.close = noted_close  # type: ignore[method-assign]
            return reader

    services = Services(database, Shrunk(), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    found = await services.files.find(image.id)
    with pytest.raises(ImageDamaged):
        await services.files.open(found, 0, 1)
    assert closed


async def test_an_image_deleted_between_row_and_bytes_is_simply_not_found(
    services: Services,
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    found = await services.files.find(image.id)
    await services.deletion.delete(image.id)
    with pytest.raises(ImageNotFound):
        await services.files.open(found, 0, 1)
