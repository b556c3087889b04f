"""An upload is stored as it came, whole, with its row, or leaves nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    ImageHostError,
    InvalidFileType,
    StorageFull,
    StorageUnavailable,
)
from app.domain.image import Image
from app.imaging.formats import HEAD_BYTES
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.base import StagedObject
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.forms import split
from testkit.live import until
from testkit.uploads import (
    ADDRESS,
    LIMITS,
    ConnectionLost,
    Watched,
    WatchedObject,
    assert_nothing_is_left,
    broken_off,
    execute,
    file,
    read,
    row_keys,
    stored_keys,
)

JPEG = samples.jpeg()
PNG = samples.png()


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100_000])
async def test_an_upload_is_stored_as_it_came_whatever_the_pieces(
    services: Services, size: int
) -> None:
    image = await services.uploads.upload(file(*split(JPEG, size)), ADDRESS)
    found = await services.images.get(image.id)
    assert found.file_size == len(JPEG)
    assert found.content_type == "image/jpeg"
    assert await read(services, found) == JPEG


async def test_the_type_comes_from_the_bytes_and_the_name_from_the_client(
    services: Services,
) -> None:
    image = await services.uploads.upload(file(PNG, filename="../x/photo.jpg"), None)
    assert (image.content_type, image.filename) == ("image/png", "photo.jpg")
    assert image.storage_key == f"{image.id.hex}.png"


async def test_an_upload_without_a_name_gets_one(services: Services) -> None:
    assert (await services.uploads.upload(file(PNG, filename=None), None)).filename == "image.png"
    assert (await services.uploads.upload(file(JPEG, filename=".."), None)).filename == "image.jpg"


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        ([], EmptyFile),
        ([b"hello"], InvalidFileType),
        ([b"<svg xmlns='http://www.w3.org/2000/svg'/>"], InvalidFileType),
        ([JPEG[:3]], InvalidFileType),
        (split(PNG[:7], 1), InvalidFileType),
        ([JPEG, bytes(10_001)], FileTooLarge),
    ],
)
async def test_a_refused_upload_leaves_nothing(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    chunks: list[bytes],
    error: type[ImageHostError],
) -> None:
    with pytest.raises(error):
        await services.uploads.upload(file(*chunks), ADDRESS)
    await assert_nothing_is_left(database, storage)


async def test_a_file_of_exactly_the_limit_is_stored(services: Services) -> None:
    content = JPEG + bytes(LIMITS.max_upload_bytes - len(JPEG))
    assert (await services.uploads.upload(file(content), None)).file_size == LIMITS.max_upload_bytes
    with pytest.raises(FileTooLarge, match="10000 bytes"):
        await services.uploads.upload(file(content, b"x"), None)


async def test_a_wrong_type_is_refused_before_the_rest_is_read() -> None:
    read_on = False

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read_on
        yield b"not an image".ljust(HEAD_BYTES)
        read_on = True
        yield b"more"

    services = Services(Database("postgresql+asyncpg://nowhere"), MemoryStorage(), LIMITS)
    with pytest.raises(InvalidFileType):
        await services.uploads.upload(IncomingFile("x.jpg", chunks()), None)
    assert not read_on


async def test_a_broken_off_upload_leaves_nothing(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    with pytest.raises(ConnectionLost):
        await services.uploads.upload(broken_off(), None)
    await assert_nothing_is_left(database, storage)


@pytest.mark.parametrize(
    ("fail_in", "error"), [("write", StorageFull), ("publish", StorageUnavailable)]
)
async def test_a_storage_that_fails_leaves_no_row_and_no_staged_object(
    database: Database, fail_in: str, error: type[ImageHostError]
) -> None:
    storage = Watched(fail_in)
    with pytest.raises(error):
        await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    assert [staged.end for staged in storage.staged] == ["discarded"]
    await assert_nothing_is_left(database, storage)


async def test_no_row_is_added_before_the_bytes_are_durable(database: Database) -> None:
    class Ordered(MemoryStorage):
        async def stage(self, key: str, content_type: str) -> StagedObject:
            staged = WatchedObject(await super().stage(key, content_type), "")

            async def publish() -> None:
                assert await row_keys(database) == []
                await staged.inner.publish()

            staged.publish = publish  # type: ignore[method-assign]
            return staged

    await Services(database, Ordered(), LIMITS).uploads.upload(file(JPEG), None)
    assert len(await row_keys(database)) == 1


async def test_a_row_that_is_refused_takes_the_file_back(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    await execute(database, "ALTER TABLE images RENAME TO elsewhere")
    try:
        with pytest.raises(DatabaseUnavailable):
            await services.uploads.upload(file(JPEG), None)
        assert await stored_keys(storage) == []
    finally:
        await execute(database, "ALTER TABLE elsewhere RENAME TO images")


async def test_an_unavailable_database_takes_the_file_back(storage: MemoryStorage) -> None:
    database = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable):
        await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    assert await stored_keys(storage) == []


async def test_a_commit_of_unknown_outcome_removes_nothing(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    await execute(
        database,
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER cut_at_commit AFTER INSERT ON images "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()",
    )
    try:
        with pytest.raises(DatabaseUnavailable):
            await services.uploads.upload(file(JPEG), None)
        assert len(await stored_keys(storage)) == 1
    finally:
        await execute(database, "DROP TRIGGER cut_at_commit ON images", "DROP FUNCTION cut")


async def test_a_cancelled_upload_leaves_nothing(database: Database) -> None:
    storage = Watched()
    begun = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield JPEG
        begun.set()
        await asyncio.Event().wait()

    services = Services(database, storage, LIMITS)
    upload = asyncio.create_task(services.uploads.upload(IncomingFile("x.jpg", chunks()), None))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert [staged.end for staged in storage.staged] == ["discarded"]


async def test_an_upload_cancelled_after_its_file_is_published_leaves_nothing(
    database: Database,
) -> None:
    published = asyncio.Event()

    class Slow(Watched):
        async def stage(self, key: str, content_type: str) -> StagedObject:
            staged = await super().stage(key, content_type)
            publish = staged.publish

            async def publish_and_wait() -> None:
                await publish()
                published.set()
                await asyncio.Event().wait()

            staged.publish = publish_and_wait  # type: ignore[method-assign]
            return staged

    storage = Slow()
    services = Services(database, storage, LIMITS)
    upload = asyncio.create_task(services.uploads.upload(file(JPEG), None))
    await published.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await assert_nothing_is_left(database, storage)


async def test_uploads_at_the_same_time_share_a_transaction_and_keep_their_own_rows(
    services: Services, database: Database
) -> None:
    uploads = [services.uploads.upload(file(JPEG, filename=f"{n}.jpg"), ADDRESS) for n in range(20)]
    images = await asyncio.gather(*uploads)
    assert [image.filename for image in images] == [f"{n}.jpg" for n in range(20)]
    assert len(await row_keys(database)) == 20
    assert len({image.created_at for image in images}) < 20, "now() is the transaction's"


async def test_a_row_that_is_refused_fails_no_other_of_its_batch(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    await execute(
        database, "ALTER TABLE images ADD CONSTRAINT no_cats CHECK (filename <> 'cat.jpg')"
    )
    try:
        names = ["a.jpg", "cat.jpg", "b.jpg"]
        outcomes = await asyncio.gather(
            *(services.uploads.upload(file(JPEG, filename=name), None) for name in names),
            return_exceptions=True,
        )
    finally:
        await execute(database, "ALTER TABLE images DROP CONSTRAINT no_cats")
    kept = [outcome for outcome in outcomes if isinstance(outcome, Image)]
    assert [image.filename for image in kept] == ["a.jpg", "b.jpg"]
    assert isinstance(outcomes[1], IntegrityError)
    assert await stored_keys(storage) == sorted(image.storage_key for image in kept)
    assert sorted(await row_keys(database)) == await stored_keys(storage)


async def test_an_upload_whose_row_cannot_be_queued_leaves_nothing(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    def refuse(_image: object) -> None:
        raise DatabaseUnavailable

    services.uploads._insertion._batches.submit = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(DatabaseUnavailable):
        await services.uploads.upload(file(JPEG), None)
    await assert_nothing_is_left(database, storage)


async def test_a_row_whose_uploader_is_gone_is_stored_before_uploads_are_closed(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    async with database.write() as session:
        await session.execute(text("LOCK TABLE images"))
        upload = asyncio.create_task(services.uploads.upload(file(JPEG), None))
        await until(lambda: services.uploads._insertion._batches._worker)
        upload.cancel()
        closing = asyncio.create_task(services.uploads.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
    await closing
    assert sorted(await row_keys(database)) == await stored_keys(storage) != []
