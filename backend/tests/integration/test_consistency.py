"""Rows and files compared: what is found, what is left alone, what a repair removes."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import Database
from app.models import Image
from app.services import consistency
from app.services.consistency import ConsistencyCheck, Finding, Kind
from app.services.image_service import ImageService, UploadLimits
from app.services.storage.base import ObjectInfo
from app.services.storage.local import LocalStorage
from app.services.storage.memory import MemoryStorage
from tests import pictures
from tests.conftest import OpenStorage
from tests.integration.test_image_service import file

JPEG = pictures.jpeg()
DAY = timedelta(days=1)
ORPHAN = "0" * 31 + "1.jpg"
LIMITS = UploadLimits(max_upload_bytes=1_000_000, batch_max_files=20, uploads_per_hour_per_ip=0)


class Store:
    """A folder of pictures, and what can go wrong with it."""

    def __init__(self, root: Path, storage: LocalStorage, database: Database) -> None:
        self.root = root
        self.storage = storage
        self.service = ImageService(database, self.storage, LIMITS)

    async def upload(self) -> Image:
        return await self.service.upload(file(JPEG), None)

    def path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def leave(self, path: Path, age: timedelta = 2 * DAY, data: bytes = b"left") -> None:
        path.write_bytes(data)
        then = time.time() - age.total_seconds()
        os.utime(path, (then, then))

    def files(self) -> set[str]:
        return {path.name for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
async def store(tmp_path: Path, open_storage: OpenStorage, database: Database) -> Store:
    root = tmp_path / "images"
    store = Store(root, open_storage(root), database)
    await store.storage.check()
    return store


async def find(database: Database, store: Store, grace: timedelta = DAY) -> list[Finding]:
    check = ConsistencyCheck(database, store.storage, grace)
    return [finding async for finding in check.find(lambda: None)]


async def repair(
    database: Database, store: Store, grace: timedelta = DAY, *, delete_broken_rows: bool = False
) -> list[bool]:
    check = ConsistencyCheck(database, store.storage, grace)
    return [
        await check.repair(finding, delete_broken_rows=delete_broken_rows)
        async for finding in check.find(lambda: None)
    ]


async def break_everything(store: Store) -> dict[Kind, str]:
    """Leave one of each kind, among images that are as they should be."""
    images = [await store.upload() for _ in range(6)]
    missing, shrunk = sorted(images, key=lambda image: image.storage_key)[1:3]
    store.path(missing.storage_key).unlink()
    store.leave(store.path(shrunk.storage_key), data=b"short")
    store.leave(store.path(ORPHAN))
    store.leave(store.root / "staging" / "old")
    return {
        Kind.FILE_WITHOUT_ROW: ORPHAN,
        Kind.ROW_WITHOUT_FILE: missing.storage_key,
        Kind.WRONG_SIZE: shrunk.storage_key,
        Kind.OLD_STAGING_FILE: "old",
    }


async def test_rows_and_files_that_agree_are_no_finding(database: Database, store: Store) -> None:
    for _ in range(5):
        await store.upload()
    assert await find(database, store, timedelta(0)) == []


async def test_an_empty_service_is_clean(database: Database, store: Store) -> None:
    assert await find(database, store) == []


async def test_each_kind_is_found_with_its_bytes(database: Database, store: Store) -> None:
    broken = await break_everything(store)
    found = await find(database, store)
    assert {finding.kind: finding.key for finding in found} == broken
    assert {finding.kind: finding.size for finding in found} == {
        Kind.FILE_WITHOUT_ROW: 4,
        Kind.ROW_WITHOUT_FILE: len(JPEG),
        Kind.WRONG_SIZE: 5,
        Kind.OLD_STAGING_FILE: 4,
    }


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_rows_read_in_several_batches_are_compared_just_the_same(
    database: Database, store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consistency, "ROWS_AT_ONCE", at_once)
    broken = await break_everything(store)
    assert {finding.kind: finding.key for finding in await find(database, store)} == broken


async def test_repair_removes_leftovers_and_no_row(database: Database, store: Store) -> None:
    broken = await break_everything(store)
    assert sorted(await repair(database, store)) == [False, False, True, True]
    assert ORPHAN not in store.files()
    assert "old" not in store.files()
    left = {finding.kind: finding.key for finding in await find(database, store)}
    kept = (Kind.ROW_WITHOUT_FILE, Kind.WRONG_SIZE)
    assert left == {kind: broken[kind] for kind in kept}


async def test_broken_rows_are_removed_only_when_asked_to(database: Database, store: Store) -> None:
    await break_everything(store)
    assert all(await repair(database, store, delete_broken_rows=True))
    assert await find(database, store, timedelta(0)) == []
    assert len(store.files()) == 4
    assert len((await store.service.list(10, None)).items) == 4


async def test_what_is_young_may_belong_to_an_upload_under_way(
    database: Database, store: Store
) -> None:
    store.leave(store.path(ORPHAN), age=timedelta(hours=23))
    store.leave(store.root / "staging" / "young", age=timedelta(hours=23))
    assert await find(database, store) == []
    assert len(await find(database, store, timedelta(hours=22))) == 2


async def test_files_that_are_no_objects_are_left_alone(database: Database, store: Store) -> None:
    store.leave(store.root / "ab" / "README.txt")
    store.leave(store.root / "cd" / ORPHAN)
    assert await find(database, store) == []


async def test_a_backend_without_a_staging_area_is_compared_too(database: Database) -> None:
    storage = MemoryStorage()
    await ImageService(database, storage, LIMITS).upload(file(JPEG), None)
    staged = await storage.stage(ORPHAN)
    await staged.publish()
    check = ConsistencyCheck(database, storage, timedelta(0))
    assert [finding.key async for finding in check.find(lambda: None)] == [ORPHAN]


async def test_an_upload_between_the_two_listings_is_no_finding(
    database: Database, store: Store
) -> None:
    """Its row is seen, its file was not there yet when the folder was listed, and the reverse."""

    class Stale(LocalStorage):
        def __init__(self, shown: list[ObjectInfo]) -> None:
            super().__init__(store.root)
            self.shown = shown

        async def list(self) -> AsyncIterator[ObjectInfo]:
            for info in self.shown:
                yield info

    image = await store.upload()
    info = await store.storage.stat(image.storage_key)
    late = ConsistencyCheck(database, Stale([]), timedelta(0))
    assert [finding async for finding in late.find(lambda: None)] == []
    await store.service.delete(image.id)
    early = ConsistencyCheck(database, Stale([info]), DAY)
    assert [finding async for finding in early.find(lambda: None)] == []


async def test_a_repair_beside_uploads_and_deletes_removes_nothing_that_lives(
    database: Database, store: Store
) -> None:
    """With a grace of seconds, for the test is over before a day is."""
    alive: list[Image] = []
    stop = asyncio.Event()

    async def work() -> None:
        while not stop.is_set():
            alive.append(await store.upload())
            await store.service.delete((await store.upload()).id)

    async def check_over_and_over() -> list[Finding]:
        found: list[Finding] = []
        for _ in range(15):
            check = ConsistencyCheck(database, store.storage, timedelta(seconds=5))
            async for finding in check.find(lambda: None):
                found.append(finding)
                await check.repair(finding, delete_broken_rows=True)
        stop.set()
        return found

    *_, found = await asyncio.gather(*(work() for _ in range(4)), check_over_and_over())
    assert found == []
    assert len(alive) > 10
    for image in alive:
        reader = await store.service.open(image, 0, image.file_size)
        await reader.close()


async def test_rows_are_read_by_their_index_in_the_order_of_bytes(database: Database) -> None:
    async with database.write() as session:
        await session.execute(
            text(
                "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', n || '.jpg', 'image/jpeg', 1"
                " FROM generate_series(1, 20000) AS n"
            )
        )
        await session.execute(text("ANALYZE images"))
        plan = await session.scalars(
            text(
                "EXPLAIN SELECT storage_key, file_size FROM images WHERE storage_key > '5' "
                "ORDER BY storage_key LIMIT 100"
            )
        )
        assert "uq_images_storage_key" in (shown := "\n".join(plan)), shown
        assert "Sort" not in shown
