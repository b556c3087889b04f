"""All files are moved to another storage, beside a service that works with both."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from uuid import uuid4

import pytest

from app.database.engine import Database
from app.domain.errors import ImageNotFound, StorageUnavailable
from app.domain.image import Image
from app.services import moving, removal
from app.services.copying import Outcome
from app.services.fsck import ConsistencyCheck
from app.services.identity import StorageIdentity, WrongStorage
from app.services.move_record import MoveInProgress, move_record
from app.services.moving import Move
from app.services.use_cases import Services
from app.storage.abilities import Mark
from app.storage.base import ObjectInfo, Skipped, ignore
from app.storage.local.backend import LocalStorage
from app.storage.local.marking import NAME
from app.storage.moving import MovingStorage
from testkit import samples
from testkit.live import TIMEOUT
from testkit.renditions import put_thumbnails
from testkit.storages import OpenStorage, put
from testkit.uploads import LIMITS, file, read, row_keys

JPEG = samples.jpeg()
REMEMBERED = 0.01
"""Seconds, here."""


class Host:
    """A service that began in the folder `old` and is being moved to `new`."""

    def __init__(self, folder: Path, open_storage: OpenStorage, database: Database) -> None:
        self.folder = folder
        self.database = database
        self.old, self.new = open_storage(folder / "old"), open_storage(folder / "new")
        self.both = MovingStorage(self.new, self.old)
        self.before = Services(database, self.old, LIMITS)
        self.during = Services(database, self.both, LIMITS)
        self.after = Services(database, open_storage(folder / "new"), LIMITS)
        self.opened: list[MovingStorage] = []
        self.outcomes: list[Outcome] = []
        self.cancel_after = 1000
        """How many files; then the move is cancelled."""

    async def upload(self) -> Image:
        """Upload an image before the move, with thumbnails."""
        image = await self.before.uploads.upload(file(JPEG + os.urandom(20)), None)
        async with self.database.write() as session:
            await put_thumbnails(session, self.old, image)
        return image

    async def move(
        self,
        old: LocalStorage | None = None,
        new: LocalStorage | None = None,
        *,
        is_copy: bool = False,
    ) -> bool:
        """Do what the command does; return whether all is moved."""
        both = MovingStorage(new or self.new, old or self.old)
        self.opened.append(both)
        self.outcomes.clear()

        def progress(_file: ObjectInfo, outcome: Outcome, _pass: int) -> None:
            self.outcomes.append(outcome)
            if len(self.outcomes) == self.cancel_after:
                task.cancel()

        with move_record(self.folder / "moves", "old", "new") as record:
            identity = StorageIdentity(self.database, both)
            move = Move(self.database, both.source, both.destination, identity, record)
            task = asyncio.create_task(move.run(progress, is_copy=is_copy))
            return await task

    def files(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name).glob("??/*")}

    def path(self, name: str, key: str) -> Path:
        return self.folder / name / key[:2] / key


@pytest.fixture
async def host(
    tmp_path: Path,
    open_storage: OpenStorage,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Host]:
    monkeypatch.setattr(removal, "REMEMBERED_SECONDS", REMEMBERED)
    host = Host(tmp_path, open_storage, database)
    await host.before.readiness.prepare_storage()
    yield host
    for services in (host.before, host.during, host.after):
        await services.close()
    for storage in host.opened:
        await storage.close()


async def test_every_file_is_in_the_destination_and_the_source_as_it_was(host: Host) -> None:
    images = [await host.upload() for _ in range(5)]
    files = host.files("old")
    assert len(files) == 20
    assert await host.move()
    assert host.outcomes == [Outcome.COPIED] * 20
    assert host.files("new") == host.files("old") == files
    for image in images:
        assert await read(host.after, image) == files[image.storage_key]


async def test_a_service_finds_what_is_not_moved_and_writes_to_the_destination(host: Host) -> None:
    image = await host.upload()
    await host.during.readiness.prepare_storage()
    uploaded = await host.during.uploads.upload(file(JPEG), None)
    assert await read(host.during, image) == host.files("old")[image.storage_key]
    assert await read(host.during, uploaded) == JPEG
    assert host.files("new") == {uploaded.storage_key: JPEG}


async def test_an_image_is_deleted_from_both(host: Host) -> None:
    images = [await host.upload() for _ in range(2)]
    assert await host.move()
    for image in images:
        await host.during.deletion.delete(image.id)
    assert host.files("new") == host.files("old") == {}


async def test_a_delete_waits_until_no_process_remembers_the_image(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await host.upload()
    monkeypatch.setattr(removal, "REMEMBERED_SECONDS", 3600)
    deleting = asyncio.create_task(host.during.deletion.delete(image.id))
    async with asyncio.timeout(TIMEOUT):
        while host.files("old"):  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.01)
    with pytest.raises(ImageNotFound):
        await host.during.images.get(image.id)
    assert not deleting.done()
    deleting.cancel()
    await asyncio.wait([deleting])


async def test_what_is_deleted_and_uploaded_beside_a_move_is_so_after_it(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "GROUP_OBJECTS", 8)
    images = [await host.upload() for _ in range(60)]
    await host.during.readiness.prepare_storage()
    running = asyncio.create_task(host.move())
    for image in images[::2]:
        await host.during.deletion.delete(image.id)
        await host.during.uploads.upload(file(JPEG), None)
    assert await running
    rows = await row_keys(host.database)
    assert len(rows) == 60
    originals = {key for key in host.files("new") if "-" not in key}
    assert originals == set(rows)
    assert host.files("old").keys() == {
        key for key in host.files("new") if host.path("old", key).exists()
    }
    check = ConsistencyCheck(host.database, host.new, timedelta(0), checksums=True)
    assert [finding async for finding in check.find(lambda _row: None)] == []


async def test_services_before_and_after_the_exchange_of_the_settings_agree(host: Host) -> None:
    await host.upload()
    assert await host.move(is_copy=True)  # which marks the destination
    exchanged = Services(host.database, MovingStorage(host.old, host.new), LIMITS)
    for services in (host.during, exchanged):
        await services.readiness.prepare_storage()
        assert await services.readiness.outages() == {}
    for one, other in permutations((host.during, exchanged)):
        read_by_other, deleted_by_other = [
            await one.uploads.upload(file(JPEG), None) for _ in range(2)
        ]
        assert await read(other, read_by_other) == JPEG
        await other.deletion.delete(deleted_by_other.id)
        with pytest.raises(ImageNotFound):
            await read(one, deleted_by_other)
    assert await host.move()
    assert host.files("new").keys() >= set(await row_keys(host.database))
    assert len(host.files("new")) == 4 + 2
    await exchanged.close()


async def test_rows_and_files_of_both_storages_agree_during_a_move(host: Host) -> None:
    images = [await host.upload() for _ in range(4)]
    assert await host.move()
    await host.during.uploads.upload(file(JPEG), None)
    host.path("new", images[0].storage_key).unlink()
    for key in (images[1].storage_key, images[2].storage_key):
        host.path("old", key).unlink()
    (host.folder / "old/staging/0123456789abcdef0123456789abcdef.jpg").touch()
    check = ConsistencyCheck(host.database, host.both, timedelta(0), checksums=True)
    findings = [finding async for finding in check.find(lambda _row: None)]
    assert [finding.kind for finding in findings] == ["old-staging-file"]
    assert await check.repair(findings[0], delete_broken_rows=False)
    assert list((host.folder / "old/staging").iterdir()) == []


async def test_a_run_after_one_that_was_cancelled_copies_the_rest(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "GROUP_OBJECTS", 4)
    for _ in range(10):
        await host.upload()
    host.cancel_after = 10
    with pytest.raises(asyncio.CancelledError):
        await host.move()
    host.cancel_after = 1000
    copied = len(host.files("new"))
    assert 8 <= copied < 40
    assert await host.move()
    assert 8 <= host.outcomes.count(Outcome.EARLIER) <= copied
    assert len(host.outcomes) == 40
    assert host.files("new") == host.files("old")
    assert await host.move()
    assert host.outcomes == [Outcome.EARLIER] * 40


async def test_a_copy_that_no_run_has_compared_is_compared(host: Host) -> None:
    image = await host.upload()
    await host.during.readiness.prepare_storage()
    thumbnail = next(key for key in host.files("old") if "-" in key)
    for key in (image.storage_key, thumbnail):
        other = bytes(len(host.files("old")[key]))
        await put(host.new, key, other)
    assert await host.move()
    assert host.outcomes.count(Outcome.COPIED) == 4
    assert host.files("new") == host.files("old")


async def test_a_copy_that_an_earlier_run_noted_but_did_not_compare_is_compared(
    host: Host,
) -> None:
    image = await host.upload()
    assert await host.move()
    with move_record(host.folder / "moves", "old", "new") as record:
        record.doubtful.add(image.storage_key)
        record.write()
    host.path("new", image.storage_key).write_bytes(bytes(image.file_size))
    assert await host.move()
    assert sorted(host.outcomes) == [Outcome.COPIED] + [Outcome.EARLIER] * 3
    assert host.files("new") == host.files("old")


async def test_what_was_deleted_after_a_run_was_killed_is_removed_by_the_next(host: Host) -> None:
    image = await host.upload()
    key = image.storage_key
    await host.during.readiness.prepare_storage()
    with move_record(host.folder / "moves", "old", "new") as record:
        record.doubtful.add(key)
        record.write()
    await host.during.deletion.delete(image.id)
    await put(host.new, key, JPEG)  # which a killed run had sent to the store
    assert await host.move()
    assert host.files("new") == {}


class Busy(LocalStorage):
    """Where another process uploads while it is listed, as often as it is asked to."""

    late = 3

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        async for info in super().list(skipped):
            yield info
        if self.late:
            self.late -= 1
            await put(self, f"{uuid4().hex}.jpg", JPEG)


async def test_what_a_process_with_old_settings_adds_is_moved_too(host: Host) -> None:
    await host.upload()
    assert await host.move(old=Busy(host.folder / "old"))
    assert len(host.outcomes) == 7
    assert host.files("new") == host.files("old")


async def test_a_copy_of_a_storage_in_use_ends(host: Host) -> None:
    await host.upload()
    files = host.files("old")
    busy = Busy(host.folder / "old")
    busy.late = 1_000_000
    assert await host.move(old=busy, is_copy=True)
    assert host.files("new") == files


@pytest.mark.parametrize("end", ["", "shorter"])
async def test_a_damaged_file_is_copied_as_it_is_and_the_move_is_not_done(
    host: Host, end: str
) -> None:
    image, sound = await host.upload(), await host.upload()
    path = host.path("old", image.storage_key)
    whole = path.read_bytes()
    path.write_bytes(bytes(len(whole) - len(end)))
    for _ in range(2):
        assert not await host.move()
        assert host.outcomes.count(Outcome.DAMAGED) == 1
        assert host.files("new") == host.files("old")
    assert sound.storage_key in host.files("new")
    path.write_bytes(whole)
    assert await host.move()
    assert host.files("new") == host.files("old")


async def test_a_file_that_cannot_be_read_leaves_the_move_undone_and_the_others_moved(
    host: Host,
) -> None:
    image, _ = await host.upload(), await host.upload()
    path = host.path("old", image.storage_key)

    class Defective(LocalStorage):
        async def open(self, key: str, start: int = 0, length: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
            if key == image.storage_key:
                raise StorageUnavailable
            return await super().open(key, start, length)

    assert not await host.move(old=Defective(host.folder / "old"))
    assert host.outcomes.count(Outcome.UNREADABLE) == 1
    assert host.files("old").keys() - host.files("new").keys() == {path.name}
    assert await host.move()


@pytest.mark.parametrize("is_there_before", [False, True])
async def test_a_copy_that_is_lost_to_a_late_delete_of_an_interrupted_run_is_made_again(
    host: Host, *, is_there_before: bool
) -> None:
    image = await host.upload()
    if is_there_before:
        await host.during.readiness.prepare_storage()
        await put(host.new, image.storage_key, host.files("old")[image.storage_key])

    class Late(LocalStorage):
        has_deleted = False

        async def open(self, key: str, start: int = 0, length: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
            if not self.has_deleted:
                self.has_deleted = True
                await self.delete(key)
            return await super().open(key, start, length)

    late = Late(host.folder / "new")
    assert await host.move(new=late)
    assert late.has_deleted
    assert host.files("new") == host.files("old")


async def test_a_destination_that_returns_other_bytes_is_found_out(host: Host) -> None:
    await host.upload()

    class Rotten(LocalStorage):
        async def open(self, key: str, start: int = 0, length: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
            path = host.path("new", key)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
            return await super().open(key, start, length)

    with pytest.raises(StorageUnavailable):
        await host.move(new=Rotten(host.folder / "new"))
    assert host.files("new").keys() < host.files("old").keys()
    assert await host.move()
    assert host.files("new") == host.files("old")


async def test_an_empty_destination_is_marked_as_the_databases(host: Host) -> None:
    await host.before.readiness.prepare_storage()
    assert await host.new.read_mark() is None
    await host.during.readiness.prepare_storage()
    mark = await host.new.read_mark()
    assert mark
    assert mark == await host.old.read_mark()
    assert mark.is_confirmed
    await StorageIdentity(host.database, host.new).establish()


async def test_a_destination_of_another_database_is_refused(host: Host) -> None:
    await host.upload()
    await host.new.write_mark(Mark(uuid4()))
    await assert_refused(host)


async def test_a_destination_with_images_of_unknown_origin_is_refused(host: Host) -> None:
    await host.upload()
    await host.new.prepare()
    await put(host.new, uuid4().hex, JPEG)
    await assert_refused(host)


async def test_a_source_that_is_not_mounted_is_refused_and_not_marked(host: Host) -> None:
    await host.upload()
    await host.during.readiness.prepare_storage()
    (host.folder / "old").rename(host.folder / "aside")
    (host.folder / "old").mkdir()
    host.both = MovingStorage(host.new, host.old)
    await assert_refused(host)
    assert not (host.folder / "old" / NAME).exists()


async def test_a_source_of_another_database_is_refused(host: Host) -> None:
    await host.upload()
    await host.old.write_mark(Mark(uuid4()))
    with pytest.raises(WrongStorage):
        await host.move()
    assert host.files("new") == {}


async def assert_refused(host: Host) -> None:
    before = host.files("new")
    with pytest.raises(StorageUnavailable):
        await host.move()
    outages = await Services(host.database, host.both, LIMITS).readiness.outages()
    assert list(outages) == ["storage"]
    assert host.files("new") == before


async def test_a_source_that_is_lost_during_a_run_leaves_it_undone(host: Host) -> None:
    class Lost(LocalStorage):
        async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
            async for info in super().list(skipped):
                yield info
            (host.folder / "old" / NAME).unlink()

    await host.upload()
    with pytest.raises(StorageUnavailable):
        await host.move(old=Lost(host.folder / "old"))


async def test_a_service_is_ready_if_it_can_write_to_the_destination_and_read_the_source(
    host: Host,
) -> None:
    await host.upload()
    await host.during.readiness.prepare_storage()
    assert await host.during.readiness.outages() == {}
    (host.folder / "old").rename(host.folder / "aside")
    ready = Services(host.database, host.both, LIMITS).readiness
    assert list(await ready.outages()) == ["storage"]


async def test_a_move_is_refused_while_another_runs(tmp_path: Path) -> None:
    with move_record(tmp_path, "old", "new"), move_record(tmp_path, "new", "old"):  # noqa: SIM117
        with pytest.raises(MoveInProgress), move_record(tmp_path, "old", "new"):
            pass
