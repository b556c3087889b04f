"""Each file of a batch stands alone, once all have arrived."""

from collections.abc import AsyncIterator

import pytest

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    ImageHostError,
    InvalidFileType,
    StorageFull,
    StorageUnavailable,
    TooManyFiles,
)
from app.domain.image import Image
from app.services.staging import IncomingFile
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.uploads import (
    ADDRESS,
    LIMITS,
    ConnectionLost,
    Watched,
    assert_nothing_is_left,
    broken_off,
    execute,
    file,
    files,
    stored_keys,
)

JPEG = samples.jpeg()
PNG = samples.png()


async def test_each_file_of_a_batch_stands_alone_in_the_order_of_the_request(
    services: Services, storage: MemoryStorage
) -> None:
    first, second, third = await services.uploads.upload_batch(
        files(file(PNG, filename="a.png"), file(b"text", filename="b/c.txt"), file(JPEG)), ADDRESS
    )
    assert isinstance(first, Image)
    assert first.filename == "a.png"
    assert isinstance(second, FailedUpload)
    assert (second.filename, type(second.error)) == ("c.txt", InvalidFileType)
    assert isinstance(third, Image)
    assert await stored_keys(storage) == sorted([first.storage_key, third.storage_key])


async def test_too_many_files_store_none(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    with pytest.raises(TooManyFiles):
        await services.uploads.upload_batch(files(*[file(JPEG) for _ in range(4)]), None)
    await assert_nothing_is_left(database, storage)


async def test_a_batch_broken_off_in_its_last_file_stores_none(database: Database) -> None:
    storage = Watched()
    with pytest.raises(ConnectionLost):
        await Services(database, storage, LIMITS).uploads.upload_batch(
            files(file(JPEG), file(PNG), broken_off()), None
        )
    assert [staged.end for staged in storage.staged] == ["discarded"] * 3
    await assert_nothing_is_left(database, storage)


async def test_a_file_that_waits_for_the_others_of_its_batch_holds_nothing(
    database: Database,
) -> None:
    storage = Watched()

    async def watched() -> AsyncIterator[IncomingFile]:
        yield file(JPEG)
        assert [staged.end for staged in storage.staged] == ["sealed"]
        yield file(PNG)

    await Services(database, storage, LIMITS).uploads.upload_batch(watched(), None)
    assert [staged.end for staged in storage.staged] == ["published"] * 2


async def test_a_batch_whose_files_cannot_be_published_says_so_for_each(
    database: Database,
) -> None:
    storage = Watched("publish")
    results = await Services(database, storage, LIMITS).uploads.upload_batch(
        files(file(JPEG), file(PNG)), None
    )
    assert [type(result.error) for result in results if isinstance(result, FailedUpload)] == [
        StorageUnavailable,
        StorageUnavailable,
    ]
    assert [staged.end for staged in storage.staged] == ["discarded"] * 2


def errors(results: list[Image | FailedUpload]) -> list[type[ImageHostError] | None]:
    return [type(item.error) if isinstance(item, FailedUpload) else None for item in results]


async def test_a_full_storage_fails_a_file_of_a_batch_and_not_the_batch(
    database: Database,
) -> None:
    services = Services(database, Watched("write"), LIMITS)
    results = await services.uploads.upload_batch(files(file(JPEG), file(b"text")), None)
    assert errors(results) == [StorageFull, InvalidFileType]


async def test_a_batch_whose_rows_are_refused_says_so_for_each(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    await execute(database, "ALTER TABLE images RENAME TO elsewhere")
    try:
        results = await services.uploads.upload_batch(files(file(JPEG), file(PNG)), None)
    finally:
        await execute(database, "ALTER TABLE elsewhere RENAME TO images")
    assert errors(results) == [DatabaseUnavailable] * 2
    await assert_nothing_is_left(database, storage)
