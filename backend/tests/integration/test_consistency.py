"""Rows and files compared: what is found, what is left alone, what a repair removes."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.image import Image, StoredFile
from app.domain.limits import UploadLimits
from app.services import fsck
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import Finding, Kind, Removals
from app.services.use_cases import Services
from app.storage.base import ObjectInfo, ObjectReader, Skipped, ignore
from app.storage.local.backend import LocalStorage
from app.storage.local.marking import NAME
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.renditions import put_thumbnails
from testkit.storages import OpenStorage
from testkit.uploads import file, read

JPEG = samples.jpeg()
DAY = timedelta(days=1)
ORPHAN = "0" * 31 + "1.jpg"
STALE = "0" * 31 + "1-150-653a.webp"
OLD = "0" * 31 + "2.jpg"
LIMITS = UploadLimits(max_upload_bytes=1_000_000, batch_max_files=20, uploads_per_hour_per_ip=0)


class Store:
    """A folder of images, and what can go wrong with it."""

    def __init__(self, root: Path, storage: LocalStorage, database: Database) -> None:
        self.root = root
        self.storage = storage
        self.database = database
        self.services = Services(database, self.storage, LIMITS)

    async def upload(self) -> Image:
        return await self.services.uploads.upload(file(JPEG), None)

    async def render(self, image: Image) -> list[Path]:
        """Give an image its thumbnails; return their files."""
        async with self.database.write() as session:
            keys = await put_thumbnails(session, self.storage, image)
        return [self.path(key) for key in keys]

    def path(self, key: str) -> Path:
        return self.root / key[:2] / key

    def leave(self, path: Path, age: timedelta = 2 * DAY, data: bytes = b"left") -> None:
        path.write_bytes(data)
        then = time.time() - age.total_seconds()
        os.utime(path, (then, then))

    def files(self) -> set[str]:
        files = {path.name for path in self.root.rglob("*") if path.is_file()}
        return files - {NAME}


@pytest.fixture
async def store(tmp_path: Path, open_storage: OpenStorage, database: Database) -> Store:
    root = tmp_path / "images"
    store = Store(root, open_storage(root), database)
    await store.storage.prepare()
    return store


async def find(database: Database, store: Store, grace: timedelta = DAY) -> list[Finding]:
    check = ConsistencyCheck(database, store.storage, grace)
    return [finding async for finding in check.find(lambda _row: None)]


async def repair(
    database: Database, store: Store, grace: timedelta = DAY, *, delete_broken_rows: bool = False
) -> list[bool]:
    check = ConsistencyCheck(database, store.storage, grace)
    return [
        await check.repair(finding, delete_broken_rows=delete_broken_rows)
        async for finding in check.find(lambda _row: None)
    ]


async def break_everything(store: Store) -> dict[Kind, str]:
    """Leave one of each kind, among images that are as they should be."""
    images = [await store.upload() for _ in range(6)]
    for image in images:
        await store.render(image)
    missing, shrunk = sorted(images, key=lambda image: image.storage_key)[1:3]
    store.path(missing.storage_key).unlink()
    store.leave(store.path(shrunk.storage_key), data=b"short")
    store.leave(store.path(ORPHAN))
    store.leave(store.path(STALE))
    store.leave(store.root / "staging" / OLD)
    return {
        Kind.STALE_THUMBNAIL: STALE,
        Kind.FILE_WITHOUT_ROW: ORPHAN,
        Kind.ROW_WITHOUT_FILE: missing.storage_key,
        Kind.WRONG_SIZE: shrunk.storage_key,
        Kind.OLD_STAGING_FILE: OLD,
    }


async def test_rows_and_files_that_agree_are_no_finding(database: Database, store: Store) -> None:
    for _ in range(5):
        await store.render(await store.upload())
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
        Kind.STALE_THUMBNAIL: 4,
    }


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_rows_read_in_several_batches_are_compared_just_the_same(
    database: Database, store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fsck, "ROWS_AT_ONCE", at_once)
    broken = await break_everything(store)
    assert {finding.kind: finding.key for finding in await find(database, store)} == broken


async def test_repair_removes_leftovers_and_no_row(database: Database, store: Store) -> None:
    broken = await break_everything(store)
    assert sorted(await repair(database, store)) == [False, False, True, True, True]
    assert not {ORPHAN, STALE, OLD} & store.files()
    left = {finding.kind: finding.key for finding in await find(database, store)}
    kept = (Kind.ROW_WITHOUT_FILE, Kind.WRONG_SIZE)
    assert left == {kind: broken[kind] for kind in kept}


async def test_broken_rows_are_removed_only_when_asked_to(database: Database, store: Store) -> None:
    await break_everything(store)
    assert all(await repair(database, store, delete_broken_rows=True))
    assert await find(database, store, timedelta(0)) == []
    assert len(store.files()) == 4 * 4, "the thumbnails of the removed rows are gone too"
    assert len((await store.services.images.page(10, None)).items) == 4


async def test_what_is_young_may_belong_to_an_upload_or_a_rendering_in_progress(
    database: Database, store: Store
) -> None:
    store.leave(store.path(ORPHAN), age=timedelta(hours=23))
    store.leave(store.path(STALE), age=timedelta(hours=23))
    store.leave(store.root / "staging" / OLD, age=timedelta(hours=23))
    assert await find(database, store) == []
    assert len(await find(database, store, timedelta(hours=22))) == 3


async def test_what_is_dated_far_ahead_by_a_clock_that_was_wrong_is_found_like_the_old(
    database: Database, store: Store
) -> None:
    store.leave(store.path(ORPHAN), age=timedelta(days=-365))
    store.leave(store.root / "staging" / OLD, age=timedelta(days=-365))
    assert [finding.key for finding in await find(database, store)] == [ORPHAN, OLD]


@pytest.mark.parametrize("grace", [timedelta(0), DAY])
async def test_what_is_dated_a_little_ahead_may_belong_to_an_upload_under_way(
    database: Database, store: Store, grace: timedelta
) -> None:
    store.leave(store.path(ORPHAN), age=timedelta(hours=-2))
    store.leave(store.root / "staging" / OLD, age=timedelta(hours=-2))
    assert await find(database, store, grace) == []


async def test_a_missing_or_shortened_thumbnail_is_no_finding(
    database: Database, store: Store
) -> None:
    missing, shortened, _ = await store.render(await store.upload())
    missing.unlink()
    shortened.write_bytes(b"short")
    assert await find(database, store, timedelta(0)) == []
    assert await find_bytes(database, store) == []


async def test_thumbnails_of_an_earlier_rendering_are_stale_and_those_of_the_last_are_not(
    database: Database, store: Store
) -> None:
    image = await store.upload()
    earlier, last = await store.render(image), await store.render(image)
    for path in (*earlier, *last):
        store.leave(path)
    found = await find(database, store)
    assert found == [Finding(Kind.STALE_THUMBNAIL, path.name, 4) for path in sorted(earlier)]
    assert await repair(database, store) == [True] * 3
    assert store.files() == {image.storage_key, *(path.name for path in last)}


async def test_a_thumbnail_that_a_row_names_by_now_is_neither_found_nor_removed(
    database: Database, store: Store
) -> None:
    """As if rendering it had taken longer than the grace period."""
    image = await store.upload()

    class Rendering(LocalStorage):
        """Where an image is rendered after its row was read, and before its files are."""

        async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
            for path in await store.render(image):
                store.leave(path)
            async for info in super().list(skipped):
                yield info

    check = ConsistencyCheck(database, Rendering(store.root), DAY)
    assert [finding async for finding in check.find(lambda _row: None)] == []
    thumbnail = next(name for name in store.files() if name != image.storage_key)
    assert not await check.repair(
        Finding(Kind.STALE_THUMBNAIL, thumbnail, 4), delete_broken_rows=True
    )
    assert thumbnail in store.files()


async def test_no_bytes_of_thumbnails_are_read_or_counted(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await store.upload()
    for path in await store.render(image):
        path.chmod(0)
    read: list[str] = []
    opened = store.storage.open

    async def open_and_note(key: str) -> ObjectReader:
        read.append(key)
        return await opened(key)

    monkeypatch.setattr(store.storage, "open", open_and_note)
    compared: list[StoredFile] = []
    check = ConsistencyCheck(database, store.storage, DAY, checksums=True)
    assert [finding async for finding in check.find(compared.append)] == []
    assert read == [image.storage_key]
    assert [row.size for row in compared] == [len(JPEG)]
    assert await check.totals() == (1, len(JPEG))


async def test_files_that_are_no_objects_are_left_alone(database: Database, store: Store) -> None:
    store.leave(store.root / "ab" / "README.txt")
    store.leave(store.root / "cd" / ORPHAN)
    assert await find(database, store) == []


async def test_what_is_no_plain_file_of_the_service_is_left_alone_and_counted(
    database: Database, store: Store, tmp_path: Path
) -> None:
    """As network disks, file managers, sync programs and NFS leave things in every folder."""
    outside = tmp_path / "outside"
    outside.write_text("not ours")
    await store.upload()
    folders = [store.root / "staging", store.root / "00"]
    for folder in folders:
        for name in ("@eaDir", "lost+found", OLD.replace("2", "a")):
            (folder / name).mkdir()
            store.leave(folder / name / ORPHAN)
        (folder / ("0" * 31 + "b.jpg")).symlink_to(outside)
        (folder / ("0" * 31 + "c.jpg")).symlink_to(tmp_path / "nowhere")
        os.mkfifo(folder / ("0" * 31 + "d.jpg"))
        for name in (".DS_Store", "Thumbs.db", ".nfs00000000012d5a", ".syncthing.a.jpg.tmp"):
            store.leave(folder / name)
        store.leave(Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.jpg")))
    before = sorted(path.name for path in store.root.rglob("*"))
    skipped: list[str] = []
    check = ConsistencyCheck(database, store.storage, timedelta(0))
    found = [finding async for finding in check.find(lambda _row: None, skipped.append)]
    assert found == []
    assert len(skipped) == 22
    assert sorted(path.name for path in store.root.rglob("*")) == before
    store.leave(store.root / "staging" / OLD)
    store.leave(store.path(ORPHAN))
    assert await repair(database, store, delete_broken_rows=True) == [True, True]
    assert sorted(path.name for path in store.root.rglob("*")) == before
    assert outside.read_text() == "not ours"


async def test_a_row_in_whose_place_is_no_plain_file_has_none_and_nothing_is_removed_there(
    database: Database, store: Store
) -> None:
    image = await store.upload()
    path = store.path(image.storage_key)
    path.unlink()
    path.mkdir()
    assert [finding.kind for finding in await find(database, store)] == [Kind.ROW_WITHOUT_FILE]
    assert await repair(database, store, delete_broken_rows=True) == [True]
    assert path.is_dir()


async def find_bytes(database: Database, store: Store, after: str = "") -> list[Finding]:
    check = ConsistencyCheck(database, store.storage, DAY, checksums=True, after=after)
    return [finding async for finding in check.find(lambda _row: None)]


def overwrite(path: Path, at: int) -> None:
    """Change four bytes, and neither size nor time."""
    times = path.stat().st_mtime
    with path.open("r+b") as opened:
        opened.seek(at)
        opened.write(bytes(byte ^ 0xFF for byte in JPEG[at : at + 4]))
    os.utime(path, (times, times))


async def test_a_file_with_four_other_bytes_is_corrupt(database: Database, store: Store) -> None:
    images = [await store.upload() for _ in range(5)]
    overwrite(store.path(images[2].storage_key), 100)
    assert await find(database, store) == []
    corrupt = Finding(Kind.CORRUPT, images[2].storage_key, len(JPEG))
    assert await find_bytes(database, store) == [corrupt]
    check = ConsistencyCheck(database, store.storage, DAY, checksums=True)
    assert not await check.repair(corrupt, delete_broken_rows=False)
    assert store.path(images[2].storage_key).exists()
    assert await check.repair(corrupt, delete_broken_rows=True)
    assert not store.path(images[2].storage_key).exists()
    assert await find_bytes(database, store) == []


async def test_a_file_that_was_restored_in_between_is_not_removed(
    database: Database, store: Store
) -> None:
    image = await store.upload()
    overwrite(store.path(image.storage_key), 100)
    check = ConsistencyCheck(database, store.storage, DAY, checksums=True)
    [finding] = [finding async for finding in check.find(lambda _row: None)]
    store.path(image.storage_key).write_bytes(JPEG)
    assert not await check.repair(finding, delete_broken_rows=True)
    assert await find_bytes(database, store) == []
    store.path(image.storage_key).unlink()
    [finding] = await find(database, store)
    store.path(image.storage_key).write_bytes(JPEG)
    assert not await check.repair(finding, delete_broken_rows=True)
    assert (await store.services.images.get(image.id)).id == image.id


async def test_a_file_whose_checksum_is_not_known_is_not_called_corrupt(
    database: Database, store: Store
) -> None:
    image = await store.upload()
    overwrite(store.path(image.storage_key), 100)
    async with database.write() as session:
        await session.execute(text("UPDATE images SET checksum = NULL"))
    assert await find_bytes(database, store) == []


async def test_a_run_goes_on_after_a_key(database: Database, store: Store) -> None:
    images = sorted([await store.upload() for _ in range(6)], key=lambda image: image.storage_key)
    for image in images:
        overwrite(store.path(image.storage_key), 100)
    assert len(await find_bytes(database, store)) == 6
    rest = await find_bytes(database, store, after=images[3].storage_key)
    assert [finding.key for finding in rest] == [image.storage_key for image in images[4:]]


@pytest.mark.parametrize(
    ("broken", "orphans", "rows", "many"),
    [
        (0, 0, 0, False),
        (10, 10, 100, False),
        (11, 0, 100, True),
        (0, 11, 100, True),
        (3, 0, 3, True),
        (2, 0, 3, False),
        (0, 3, 0, False),
    ],
)
def test_more_than_a_few_removals_or_all_rows_must_be_expected(
    broken: int, orphans: int, rows: int, *, many: bool
) -> None:
    def hold(expected: int | None) -> tuple[bool, int]:
        removals = Removals(rows, expected)
        for number in range(broken):
            removals.hold(Finding(Kind.ROW_WITHOUT_FILE, str(number), 1))
        for number in range(orphans):
            removals.hold(Finding(Kind.FILE_WITHOUT_ROW, str(number), 1))
        return removals.are_expected, len(removals.held)

    number = broken + orphans
    assert hold(None)[0] is not many
    assert hold(number) == (True, number)
    if number:
        assert hold(number + 1)[0] is False
        assert hold(number - 1)[0] is False


async def test_a_backend_without_a_staging_area_is_compared_too(database: Database) -> None:
    storage = MemoryStorage()
    await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    staged = await storage.stage(ORPHAN, "image/jpeg")
    await staged.publish()
    check = ConsistencyCheck(database, storage, timedelta(0))
    assert [finding.key async for finding in check.find(lambda _row: None)] == [ORPHAN]


async def test_an_upload_between_the_two_listings_is_no_finding(
    database: Database, store: Store
) -> None:
    """Its row is seen, its file was not there yet when the folder was listed, and the reverse."""

    class Stale(LocalStorage):
        def __init__(self, shown: list[ObjectInfo]) -> None:
            super().__init__(store.root)
            self.shown = shown

        async def list(self, _skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
            for info in self.shown:
                yield info

    image = await store.upload()
    info = await store.storage.stat(image.storage_key)
    late = ConsistencyCheck(database, Stale([]), timedelta(0))
    assert [finding async for finding in late.find(lambda _row: None)] == []
    await store.services.deletion.delete(image.id)
    early = ConsistencyCheck(database, Stale([info]), DAY)
    assert [finding async for finding in early.find(lambda _row: None)] == []


async def test_a_repair_beside_uploads_and_deletes_removes_nothing_that_lives(
    database: Database, store: Store
) -> None:
    """With a grace of seconds, for the test is over before a day is."""
    alive: list[Image] = []
    stop = asyncio.Event()

    async def work() -> None:
        while not stop.is_set():
            alive.append(await store.upload())
            await store.render(alive[-1])
            deleted = await store.upload()
            await store.render(deleted)
            await store.services.deletion.delete(deleted.id)

    async def check_over_and_over() -> list[Finding]:
        found: list[Finding] = []
        rounds = 0
        while rounds < 15 or len(alive) <= 10:
            rounds += 1
            check = ConsistencyCheck(database, store.storage, timedelta(seconds=30))
            async for finding in check.find(lambda _row: None):
                found.append(finding)
                await check.repair(finding, delete_broken_rows=True)
        stop.set()
        return found

    *_, found = await asyncio.gather(*(work() for _ in range(4)), check_over_and_over())
    assert found == []
    for image in alive:
        await read(store.services, image)


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
