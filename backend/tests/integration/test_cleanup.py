"""What is removed every day without a person, and what is not."""

import argparse
import asyncio
import logging
import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from app.commands import fsck, fsck_options
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.image import Image
from app.domain.job import NewJob
from app.jobs.cleanup import cleanup_task
from app.queue.worker import QueueWorker
from app.services.cleanup import CleanUp
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import FEW, GRACE, Finding, Kind
from app.services.identity import StorageIdentity
from app.services.use_cases import Services
from app.statements.jobs import insert_jobs
from app.statements.storage_use import find_uses, find_wrong_uses
from app.storage.abilities import Mark
from app.storage.local.backend import LocalStorage
from app.storage.local.marking import NAME, write_mark
from testkit import samples
from testkit.keys import make_user
from testkit.live import until
from testkit.renditions import put_thumbnails
from testkit.storages import OpenStorage
from testkit.uploads import LIMITS, add, execute, file, row, row_keys

OLD = time.time() - 2 * 24 * 3600
ANOTHER = "UPDATE installation SET storage_id = gen_random_uuid()"
"""Makes the database that of another storage."""


class Store:
    """A folder of images, beside which things are left."""

    def __init__(self, root: Path, storage: LocalStorage, database: Database) -> None:
        self.root = root
        self.storage = storage
        self.database = database
        self.services = Services(database, storage, LIMITS)

    async def upload(self) -> Image:
        """Upload an image and give it its thumbnails."""
        image = await self.services.uploads.upload(file(samples.jpeg()), None)
        async with self.database.write() as session:
            await put_thumbnails(session, self.storage, image)
        return image

    def leave(self, name: str, folder: str = "") -> None:
        path = self.root / (folder or name[:2]) / name
        path.write_bytes(b"left")
        os.utime(path, (OLD, OLD))

    def files(self) -> set[str]:
        files = {path.name for path in self.root.rglob("*") if path.is_file()}
        return files - {NAME}

    async def clean_up(self) -> None:
        await CleanUp(self.database, self.storage).run()


@pytest.fixture
async def store(settings: Settings, open_storage: OpenStorage, database: Database) -> Store:
    root = settings.data_dir / "images"
    storage = open_storage(root)
    await StorageIdentity(database, storage).establish()
    await storage.prepare()
    return Store(root, storage, database)


def orphan(number: int) -> str:
    return f"{number:032x}.jpg"


def stale(number: int) -> str:
    return f"{number:032x}-150-653a.webp"


async def test_leftovers_and_a_few_files_without_a_row_are_removed(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await store.upload()
    kept = store.files()
    for number in range(FEW):
        store.leave(orphan(number))
    for number in range(2 * FEW):
        store.leave(stale(number))
        store.leave(orphan(number), folder="staging")
    await store.clean_up()
    assert store.files() == kept
    assert caplog.messages == [
        "clean-up: removed 10 file-without-row, 20 old-staging-file, 20 stale-thumbnail"
    ]
    await store.clean_up()
    assert store.files() == kept
    assert caplog.messages[1:] == ["clean-up: removed nothing"]


async def test_a_worker_cleans_up(store: Store) -> None:
    kept = store.files()
    store.leave(stale(1))
    async with store.database.write() as session:
        await insert_jobs(session, [NewJob("cleanup", "")])
    worker = QueueWorker(store.database, [cleanup_task(store.database, store.storage)], 1)
    running = asyncio.create_task(worker.run())
    await until(lambda: store.files() == kept)
    worker.stop()
    await running


async def test_rows_and_many_files_without_a_row_are_left_to_a_person(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await store.upload()
    kept = store.files() - {broken.storage_key}
    await store.storage.delete(broken.storage_key)
    orphans = {orphan(number) for number in range(FEW + 1)}
    for name in (*orphans, stale(1)):
        store.leave(name)
    await store.clean_up()
    assert store.files() == kept | orphans
    assert await row_keys(store.database) == [broken.storage_key]
    [line] = caplog.messages
    assert line.startswith(
        "clean-up: removed 1 stale-thumbnail; left 11 file-without-row, 1 row-without-file, "
    )
    assert line.endswith("see `make fsck`")


async def test_what_a_user_is_recorded_to_use_is_corrected(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """After rows were changed by hand, for instance."""
    caplog.set_level(logging.INFO)
    wrong, right = [await make_user(store.database) for _ in range(2)]
    await add(store.database, *(row(owner_id=user.id) for user in (wrong, wrong, right)))
    change = "UPDATE users SET used_bytes = {}, used_images = {} WHERE id = '{}'"
    await execute(store.database, change.format(7, -1, wrong.id), change.format(1234, 1, right.id))
    check = ConsistencyCheck(store.database, store.storage, GRACE)
    findings = [finding async for finding in check.find(lambda _row: None)]
    found = [finding for finding in findings if finding.kind is Kind.WRONG_USE]
    assert found == [Finding(Kind.WRONG_USE, str(wrong.id), 2 * 1234)]
    await store.clean_up()
    assert "removed 1 wrong-use" in caplog.text
    async with store.database.read() as session:
        assert await find_wrong_uses(session) == {}
        assert (await find_uses(session, [wrong.id]))[wrong.id] == (None, None, 2 * 1234, 2)
    assert not await check.repair(found[0], delete_broken_rows=False)


async def test_beside_the_wrong_database_nothing_is_removed(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no row names any of the thumbnails."""
    await store.upload()
    store.leave(stale(1))
    store.leave(orphan(1), folder="staging")
    before = store.files()
    await execute(store.database, ANOTHER, "DELETE FROM images")
    await store.clean_up()
    assert store.files() == before
    [line] = caplog.messages
    assert line.startswith("nothing is cleaned up: The image storage")


async def test_no_repair_of_fsck_removes_thumbnails_beside_the_wrong_database(
    settings: Settings, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await store.upload()
    store.leave(stale(1))
    before = store.files()
    await execute(store.database, ANOTHER, "DELETE FROM images")
    parser = argparse.ArgumentParser()
    fsck_options.add_arguments(parser)
    options = parser.parse_args(["--repair", "--grace", "0", "--expect", "4"])
    assert await asyncio.to_thread(fsck.run, settings, options) == fsck.EXIT_NOT_CHECKED
    assert store.files() == before
    assert capsys.readouterr().err.startswith("Not checked: The image storage")


async def test_a_folder_that_takes_the_place_of_the_right_one_is_left_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a worker that began with the right volume finds another one there at night."""
    await store.clean_up()
    store.leave(stale(1))
    store.leave(orphan(1), folder="staging")
    write_mark(store.root, Mark(uuid4()))
    before = store.files()
    await store.clean_up()
    assert store.files() == before
    assert caplog.messages[-1].startswith("nothing is cleaned up: The image storage")
