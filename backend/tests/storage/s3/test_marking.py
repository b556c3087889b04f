"""Whether a bucket, or a prefix in it, is the storage of a database."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.database.engine import Database
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.observability.reasons import reason
from app.services.identity import StorageIdentity, WrongStorage, require_unused
from app.storage.abilities import Mark
from app.storage.s3 import marking
from app.storage.s3.backend import S3Storage
from app.storage.s3.marking import NAME
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.storages import put, storage_over

pytestmark = needs_ceph

KEY = "0123456789abcdef0123456789abcdef.jpg"


@pytest.fixture
async def storage(ceph: Ceph, bucket: str) -> AsyncIterator[S3Storage]:
    storage = storage_over(ceph, bucket)
    yield storage
    await storage.close()


async def test_a_mark_is_read_as_it_was_written(storage: S3Storage) -> None:
    assert await storage.read_mark() is None
    for is_confirmed in (False, True):
        mark = Mark(uuid4(), is_confirmed)
        await storage.write_mark(mark)
        assert await storage.read_mark() == mark


@pytest.mark.parametrize("content", [b"", b"notes", b"\xff" * 50, b"0" * 100_000])
async def test_what_is_no_mark_is_not_taken_for_a_missing_one(
    storage: S3Storage, ceph: Ceph, bucket: str, content: bytes
) -> None:
    ceph.ask("PUT", f"{bucket}/{NAME}", content)
    with pytest.raises(StorageUnavailable) as raised:
        await storage.read_mark()
    assert "this is not the id of a storage" in reason(raised.value)
    assert storage.location in reason(raised.value)


async def test_a_storage_holds_objects_only_if_they_are_the_services(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    await storage.prepare()
    await storage.write_mark(Mark(uuid4()))
    ceph.ask("PUT", f"{bucket}/notes.txt")
    assert not await storage.holds_objects()
    await put(storage, KEY, b"x")
    assert await storage.holds_objects()


@pytest.mark.parametrize("there", ["no storage", "the storage of another database"])
async def test_in_a_wrong_bucket_nothing_is_missing_and_nothing_is_written(
    storage: S3Storage, ceph: Ceph, bucket: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_id = uuid4()
    await storage.write_mark(Mark(storage_id))
    storage.require_mark(storage_id)
    await put(storage, KEY, b"x")
    before = await storage.stage("f" * 32, "image/jpeg")
    for key in (KEY, NAME):  # somebody has emptied it, or made another one of that name
        ceph.ask("DELETE", f"{bucket}/{key}")
    if there == "the storage of another database":
        await storage.write_mark(Mark(uuid4()))
    for look in (storage.open, storage.stat):
        with pytest.raises(StorageUnavailable) as raised:
            await look(KEY)
        assert f"{there} is there; is STORAGE_URL right?" in reason(raised.value)
    with pytest.raises(StorageUnavailable):
        await storage.probe()
    monkeypatch.setattr(marking, "SEEN_SECONDS", -1.0)
    with pytest.raises(StorageUnavailable):
        await before.publish()
    with pytest.raises(StorageUnavailable):
        await storage.delete(KEY)
    assert [info async for info in storage.list()] == []
    await storage.write_mark(Mark(storage_id))
    with pytest.raises(ObjectNotFound):
        await storage.open(KEY)
    await storage.probe()


async def test_a_new_database_and_an_empty_bucket_get_a_common_id(
    storage: S3Storage, database: Database
) -> None:
    await StorageIdentity(database, storage).establish()
    mark = await storage.read_mark()
    assert mark
    assert mark.is_confirmed
    await StorageIdentity(database, storage).establish()
    assert await storage.read_mark() == mark


async def test_another_prefix_is_refused_until_it_is_adopted(
    storage: S3Storage, database: Database, ceph: Ceph, bucket: str
) -> None:
    await StorageIdentity(database, storage).establish()
    other = storage_over(ceph, bucket, "other")
    with pytest.raises(WrongStorage, match=r"storage s3://.*/other/ at .* STORAGE_URL"):
        await StorageIdentity(database, other).establish()
    await StorageIdentity(database, other).adopt()
    await StorageIdentity(database, other).establish()
    await other.close()


async def test_a_bucket_with_images_is_not_given_to_a_new_database(
    storage: S3Storage, database: Database
) -> None:
    await require_unused(storage)
    await put(storage, KEY, b"x")
    with pytest.raises(WrongStorage):
        await require_unused(storage)
    with pytest.raises(WrongStorage, match="it holds images, and the database knows of none"):
        await StorageIdentity(database, storage).establish()
