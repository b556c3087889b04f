"""The use cases over the in-memory storage and a real database, and each way they can fail."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    ImageDamaged,
    ImageHostError,
    ImageNotFound,
    InvalidFileType,
    StorageFull,
    StorageUnavailable,
    TooManyFiles,
)
from app.domain.image import Image, Position
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.storage.base import ObjectReader, StagedObject
from app.storage.memory import MemoryStorage
from testkit import pictures
from testkit.forms import split
from testkit.live import until
from testkit.uploads import (
    ADDRESS,
    LIMITS,
    ConnectionLost,
    File,
    broken_off,
    execute,
    file,
    files,
    read,
    row_keys,
    stored_keys,
)

JPEG = pictures.jpeg()
PNG = pictures.png()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def services(database: Database, storage: MemoryStorage) -> Services:
    return Services.over(database, storage, LIMITS)


async def assert_nothing_is_left(database: Database, storage: MemoryStorage) -> None:
    assert await stored_keys(storage) == []
    assert await row_keys(database) == []


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100_000])
async def test_an_upload_is_stored_as_it_came_whatever_the_pieces(
    services: Services, size: int
) -> None:
    image = await services.uploads.upload(file(*split(JPEG, size)), ADDRESS)
    found = await services.lookup.get(image.id)
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
    picture = JPEG + bytes(LIMITS.max_upload_bytes - len(JPEG))
    assert (await services.uploads.upload(file(picture), None)).file_size == LIMITS.max_upload_bytes
    with pytest.raises(FileTooLarge, match="10000 bytes"):
        await services.uploads.upload(file(picture, b"x"), None)


async def test_a_wrong_type_is_refused_before_the_rest_is_read() -> None:
    read_on = False

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal read_on
        yield b"not a picture"
        read_on = True
        yield b"more"

    services = Services.over(Database("postgresql+asyncpg://nowhere"), MemoryStorage(), LIMITS)
    with pytest.raises(InvalidFileType):
        await services.uploads.upload(File("x.jpg", chunks()), None)
    assert not read_on


async def test_a_broken_off_upload_leaves_nothing(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    with pytest.raises(ConnectionLost):
        await services.uploads.upload(broken_off(), None)
    await assert_nothing_is_left(database, storage)


class Watched(MemoryStorage):
    """Remembers the staged objects, and fails where it is told to."""

    def __init__(self, fail_in: str = "") -> None:
        super().__init__()
        self.staged: list[_WatchedObject] = []
        self.fail_in = fail_in

    async def stage(self, key: str, content_type: str) -> StagedObject:
        staged = _WatchedObject(await super().stage(key, content_type), self.fail_in)
        self.staged.append(staged)
        return staged


class _WatchedObject:
    def __init__(self, inner: StagedObject, fail_in: str) -> None:
        self.inner = inner
        self.fail_in = fail_in
        self.end = ""

    async def write(self, data: bytes) -> None:
        if self.fail_in == "write":
            raise StorageFull
        await self.inner.write(data)

    async def seal(self) -> None:
        await self.inner.seal()
        self.end = "sealed"

    async def publish(self) -> None:
        if self.fail_in == "publish":
            raise StorageUnavailable
        await self.inner.publish()
        self.end = "published"

    async def discard(self) -> None:
        await self.inner.discard()
        self.end = "discarded"


@pytest.mark.parametrize(
    ("fail_in", "error"), [("write", StorageFull), ("publish", StorageUnavailable)]
)
async def test_a_storage_that_fails_leaves_no_row_and_no_staged_object(
    database: Database, fail_in: str, error: type[ImageHostError]
) -> None:
    storage = Watched(fail_in)
    with pytest.raises(error):
        await Services.over(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    assert [staged.end for staged in storage.staged] == ["discarded"]
    await assert_nothing_is_left(database, storage)


async def test_no_row_is_added_before_the_bytes_are_durable(database: Database) -> None:
    class Ordered(MemoryStorage):
        async def stage(self, key: str, content_type: str) -> StagedObject:
            staged = _WatchedObject(await super().stage(key, content_type), "")

            async def publish() -> None:
                assert await row_keys(database) == []
                await staged.inner.publish()

            staged.publish = publish  # type: ignore[method-assign]
            return staged

    await Services.over(database, Ordered(), LIMITS).uploads.upload(file(JPEG), None)
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


async def test_a_database_that_is_away_takes_the_file_back(storage: MemoryStorage) -> None:
    database = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable):
        await Services.over(database, storage, LIMITS).uploads.upload(file(JPEG), None)
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

    services = Services.over(database, storage, LIMITS)
    upload = asyncio.create_task(services.uploads.upload(File("x.jpg", chunks()), None))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert [staged.end for staged in storage.staged] == ["discarded"]


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
        await Services.over(database, storage, LIMITS).uploads.upload_batch(
            files(file(JPEG), file(PNG), broken_off()), None
        )
    assert [staged.end for staged in storage.staged] == ["discarded"] * 3
    await assert_nothing_is_left(database, storage)


async def test_a_file_that_waits_for_the_others_of_its_batch_holds_nothing(
    database: Database,
) -> None:
    storage = Watched()

    async def watched() -> AsyncIterator[File]:
        yield file(JPEG)
        assert [staged.end for staged in storage.staged] == ["sealed"]
        yield file(PNG)

    await Services.over(database, storage, LIMITS).uploads.upload_batch(watched(), None)
    assert [staged.end for staged in storage.staged] == ["published"] * 2


async def test_a_batch_whose_files_cannot_be_published_says_so_for_each(
    database: Database,
) -> None:
    storage = Watched("publish")
    results = await Services.over(database, storage, LIMITS).uploads.upload_batch(
        files(file(JPEG), file(PNG)), None
    )
    assert [type(result.error) for result in results if isinstance(result, FailedUpload)] == [
        StorageUnavailable,
        StorageUnavailable,
    ]
    assert [staged.end for staged in storage.staged] == ["discarded"] * 2


async def test_a_file_that_is_gone_is_damage_and_not_a_missing_image(
    services: Services, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await storage.delete(image.storage_key)
    with pytest.raises(ImageDamaged):
        await services.files.open(image, 0, 1)


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

    services = Services.over(database, Shrunk(), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    with pytest.raises(ImageDamaged):
        await services.files.open(image, 0, 1)
    assert closed


async def test_an_image_deleted_between_row_and_bytes_is_simply_not_found(
    services: Services,
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await services.deletion.delete(image.id)
    with pytest.raises(ImageNotFound):
        await services.files.open(image, 0, 1)


async def test_a_deleted_image_is_gone_and_a_second_time_not_found(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await services.deletion.delete(image.id)
    await assert_nothing_is_left(database, storage)
    for act in (services.lookup.get, services.deletion.delete):
        with pytest.raises(ImageNotFound):
            await act(image.id)


async def test_the_row_is_removed_before_the_file(database: Database) -> None:
    class Ordered(MemoryStorage):
        async def delete(self, key: str) -> None:
            assert await row_keys(database) == []
            await super().delete(key)

    storage = Ordered()
    services = Services.over(database, storage, LIMITS)
    await services.deletion.delete((await services.uploads.upload(file(JPEG), None)).id)
    assert await stored_keys(storage) == []


async def test_an_image_is_deleted_even_if_its_file_cannot_be_removed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(MemoryStorage):
        async def delete(self, key: str) -> None:  # noqa: ARG002
            raise StorageUnavailable

    services = Services.over(database, Stuck(), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await services.deletion.delete(image.id)
    assert await row_keys(database) == []
    assert image.storage_key in caplog.text


async def test_two_deletes_at_once_remove_once(services: Services) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    outcomes = await asyncio.gather(
        *(services.deletion.delete(image.id) for _ in range(8)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ImageNotFound"] * 7 + [
        "NoneType"
    ]


async def test_the_list_ends_exactly_where_the_images_end(services: Services) -> None:
    made = [await services.uploads.upload(file(JPEG), None) for _ in range(4)]
    newest_first = [image.id for image in reversed(made)]
    page = await services.listing.page(2, None)
    assert [image.id for image in page.items] == newest_first[:2]
    assert page.next == Position(made[2].created_at, made[2].id)
    page = await services.listing.page(2, page.next)
    assert [image.id for image in page.items] == newest_first[2:]
    assert page.next is None
    assert (await services.listing.page(4, None)).next is None


async def test_an_empty_list_is_a_page(services: Services) -> None:
    page = await services.listing.page(20, None)
    assert (list(page.items), page.next) == ([], None)


async def test_an_unknown_image_is_not_found(services: Services) -> None:
    missing = UUID(int=1)
    with pytest.raises(ImageNotFound, match=str(missing)):
        await services.lookup.get(missing)


async def test_outages_name_what_is_down(storage: MemoryStorage, services: Services) -> None:
    assert await services.readiness.outages() == {}

    class Down(MemoryStorage):
        async def probe(self) -> None:
            raise StorageUnavailable

    away = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    assert list(await Services.over(away, Down(), LIMITS).readiness.outages()) == [
        "database",
        "storage",
    ]
    assert list(await Services.over(away, storage, LIMITS).readiness.outages()) == ["database"]


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
    services = Services.over(database, storage, LIMITS)
    upload = asyncio.create_task(services.uploads.upload(file(JPEG), None))
    await published.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    await assert_nothing_is_left(database, storage)


def errors(results: list[Image | FailedUpload]) -> list[type[ImageHostError] | None]:
    return [type(item.error) if isinstance(item, FailedUpload) else None for item in results]


async def test_a_full_storage_fails_a_file_of_a_batch_and_not_the_batch(
    database: Database,
) -> None:
    services = Services.over(database, Watched("write"), LIMITS)
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


async def test_uploads_at_the_same_time_share_a_transaction_and_keep_their_own_rows(
    services: Services, database: Database
) -> None:
    uploads = [services.uploads.upload(file(JPEG, filename=f"{n}.jpg"), ADDRESS) for n in range(20)]
    images = await asyncio.gather(*uploads)
    assert [image.filename for image in images] == [f"{n}.jpg" for n in range(20)]
    assert len(await row_keys(database)) == 20
    assert len({image.created_at for image in images}) < 20, "now() is the transaction's"


async def test_a_row_that_is_refused_fails_no_other_of_its_group(
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


async def test_lookups_at_the_same_time_each_find_their_own_image(services: Services) -> None:
    images = [await services.uploads.upload(file(JPEG), None) for _ in range(5)]
    unknown = UUID(int=0)
    asked = [image.id for image in images for _ in range(3)] + [unknown]
    found = await asyncio.gather(*map(services.lookup.get, asked), return_exceptions=True)
    assert [image.id for image in found[:-1] if isinstance(image, Image)] == asked[:-1]
    assert isinstance(found[-1], ImageNotFound)


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
        await until(lambda: services.uploads._insertion._batches._workers)
        upload.cancel()
        closing = asyncio.create_task(services.uploads.close())
        await asyncio.sleep(0.1)
        assert not closing.done()
    await closing
    assert sorted(await row_keys(database)) == await stored_keys(storage) != []
