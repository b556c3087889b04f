"""Equal bytes cost their space once: which jobs are inserted, and what they and others do."""

import asyncio
import os
from collections import Counter
from errno import EMLINK
from pathlib import Path
from uuid import UUID

import pytest

from app.composition.worker import open_worker
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.image import Image
from app.domain.job import RENDER, SHARE, Priority
from app.services.cleanup import CleanUp
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import GRACE, Kind
from app.services.identity import StorageIdentity
from app.services.sharing import ByteSharing
from app.services.use_cases import Services
from app.storage.abilities import Sharing
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from testkit import jobs, samples
from testkit.live import until
from testkit.storages import OpenStorage
from testkit.uploads import ADDRESS, LIMITS, execute, file

JPEG, PNG = samples.jpeg(), samples.png()


class Store:
    """A folder of images."""

    def __init__(self, root: Path, storage: LocalStorage, database: Database) -> None:
        self.root = root
        self.storage = storage
        self.database = database
        self.services = Services(database, storage, LIMITS)
        self.sharing = ByteSharing(database, storage)

    async def upload(self, content: bytes = JPEG) -> Image:
        return await self.services.uploads.upload(file(content), None)

    def file_of(self, image: Image) -> Path:
        return self.root / self.storage.locate(image.storage_key)

    def inodes(self) -> Counter[int]:
        return Counter(path.stat().st_ino for path in self.root.glob("??/*"))

    async def subjects(self) -> list[UUID]:
        """Return the images for which there are jobs."""
        found = await jobs.rows(self.database, "task_name, args->>'subject'")
        assert {task for task, _ in found} <= {SHARE}
        return [UUID(str(subject)) for _, subject in found]


def unexpected(outcome: Sharing | None) -> None:
    pytest.fail(str(outcome))


async def beat() -> None:
    """Be alive; nobody watches."""


@pytest.fixture
async def store(database: Database, tmp_path: Path, open_storage: OpenStorage) -> Store:
    root = tmp_path / "images"
    store = Store(root, open_storage(root), database)
    await store.services.readiness.prepare_storage()
    return store


async def test_an_upload_of_bytes_that_are_there_has_a_job_and_another_has_none(
    store: Store,
) -> None:
    await store.upload(JPEG)
    await store.upload(PNG)
    assert await store.subjects() == []
    again = await store.upload(JPEG)
    assert await store.subjects() == [again.id]


@pytest.mark.parametrize("quota", [0, 100], ids=["unlimited", "with a quota"])
async def test_equal_files_of_one_transaction_have_a_job_each_but_one(
    store: Store, quota: int
) -> None:
    limits = LIMITS._replace(uploads_per_hour_per_ip=quota)
    uploads = Services(store.database, store.storage, limits).uploads
    contents = [JPEG, JPEG, JPEG, PNG]
    images = await asyncio.gather(*(uploads.upload(file(one), ADDRESS) for one in contents))
    for subject in await store.subjects():
        await store.sharing.share(subject)
    await store.sharing.run(lambda _outcome: None)  # those of a first transaction of one file
    assert len(images) == 4
    assert sorted(store.inodes().values()) == [1, 3]


async def test_an_upload_that_is_rendered_has_both_jobs_and_sharing_waits(store: Store) -> None:
    services = Services(store.database, store.storage, LIMITS, (150,))
    first = await services.uploads.upload(file(JPEG), None)
    second = await services.uploads.upload(file(JPEG), None)
    found = await jobs.rows(store.database, "task_name, args->>'subject', priority")
    assert sorted(found) == sorted(
        [
            (RENDER, str(first.id), Priority.NORMAL),
            (RENDER, str(second.id), Priority.NORMAL),
            (SHARE, str(second.id), Priority.BACKLOG),
        ]
    )


async def test_a_storage_that_cannot_share_has_no_jobs_and_nothing_to_do(
    database: Database,
) -> None:
    storage = MemoryStorage()
    services = Services(database, storage, LIMITS)
    images = [await services.uploads.upload(file(JPEG), None) for _ in "12"]
    assert await jobs.rows(database, "task_name") == []
    sharing = ByteSharing(database, storage)
    assert await sharing.share(images[1].id) is None  # of a job from before a move
    assert await sharing.count() == 0
    await sharing.run(unexpected)


async def test_a_worker_lets_equal_images_share_their_bytes(
    settings: Settings, database: Database, open_storage: OpenStorage
) -> None:
    root = settings.data_dir / "images"
    store = Store(root, open_storage(root), database)
    first, second = [await store.upload() for _ in "12"]
    async with open_worker(settings) as worker:
        stopping = asyncio.Event()
        running = asyncio.create_task(worker.run(stopping, beat))
        await until(lambda: store.file_of(first).samefile(store.file_of(second)))
        stopping.set()
        await running
    for image in (first, second):
        assert store.file_of(image).read_bytes() == JPEG


async def test_a_deleted_image_and_its_job_harm_no_other(store: Store) -> None:
    first, second, third = [await store.upload() for _ in "123"]
    await store.services.deletion.delete(first.id)
    assert await store.sharing.share(first.id) is None
    assert await store.sharing.share(second.id) is None
    assert await store.sharing.share(third.id) is Sharing.DONE
    await store.services.deletion.delete(second.id)
    assert store.file_of(third).read_bytes() == JPEG
    assert len(store.inodes()) == 1


async def test_a_corrupt_file_is_shared_with_none_and_the_log_says_so(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = [await store.upload() for _ in "123"]
    store.file_of(first).write_bytes(JPEG[:-1] + b"x")
    assert await store.sharing.share(second.id) is Sharing.DIFFERENT
    assert "one of them is corrupt" in caplog.text
    assert first.storage_key in caplog.text
    assert await store.sharing.share(third.id) is Sharing.DONE
    assert store.file_of(second).samefile(store.file_of(third))
    assert store.file_of(second).read_bytes() == JPEG


async def test_a_file_that_became_corrupt_is_found_for_each_image_that_shares_it(
    store: Store,
) -> None:
    images = [await store.upload() for _ in "12"]
    await store.sharing.share(images[1].id)
    with store.file_of(images[0]).open("r+b") as damaged:
        damaged.write(b"x")
    check = ConsistencyCheck(store.database, store.storage, GRACE, checksums=True)
    found = [finding async for finding in check.find(lambda _row: None)]
    assert {(finding.kind, finding.key) for finding in found} == {
        (Kind.CORRUPT, image.storage_key) for image in images
    }
    store.file_of(images[1]).write_bytes(JPEG)  # restored in place, as `cp` does
    assert not [finding async for finding in check.find(lambda _row: None)]


async def test_a_missing_file_is_made_up_for_by_none(store: Store) -> None:
    first, second, third = [await store.upload() for _ in "123"]
    store.file_of(first).unlink()
    assert await store.sharing.share(second.id) is None
    assert await store.sharing.share(third.id) is Sharing.DONE
    assert not store.file_of(first).exists()


async def test_a_file_with_as_many_names_as_it_may_have_is_followed_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of two, where ext4 has 65,000."""
    link = os.link

    def limited(name: str, new_name: str) -> None:
        if Path(name).stat().st_nlink == 2:
            raise OSError(EMLINK, os.strerror(EMLINK))
        link(name, new_name)

    monkeypatch.setattr(os, "link", limited)
    images = [await store.upload() for _ in range(5)]
    outcomes = [await store.sharing.share(image.id) for image in images]
    done, impossible = Sharing.DONE, Sharing.IMPOSSIBLE
    assert outcomes == [None, done, impossible, done, impossible]
    assert sorted(store.inodes().values()) == [1, 2, 2]


async def test_images_of_before_and_of_the_same_moment_share_after_a_run(store: Store) -> None:
    images = [await store.upload(content) for content in (JPEG, PNG, JPEG, PNG, JPEG)]
    seen = Counter[Sharing | None]()
    assert await store.sharing.count() == 3
    await store.sharing.run(lambda outcome: seen.update([outcome]))
    assert seen == {Sharing.DONE: 3}
    assert sorted(store.inodes().values()) == [2, 3]
    assert [store.file_of(image).read_bytes() for image in images[:2]] == [JPEG, PNG]
    seen.clear()
    await store.sharing.run(lambda outcome: seen.update([outcome]))
    assert seen == {Sharing.BEFORE: 3}


async def test_what_has_no_checksum_yet_shares_nothing(store: Store) -> None:
    for _ in "12":
        await store.upload()
    await execute(store.database, "UPDATE images SET checksum = NULL")
    assert await store.sharing.count() == 0
    await store.sharing.run(unexpected)
    assert len(store.inodes()) == 2


async def test_the_nightly_clean_up_does_what_no_job_has_done(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await StorageIdentity(store.database, store.storage).establish()
    for _ in "12":
        await store.upload()
    await CleanUp(store.database, store.storage).run()
    assert len(store.inodes()) == 1
    assert "1 files share equal bytes since then" in caplog.text
