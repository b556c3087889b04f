"""An image that is made private or public has other files, and never none, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest

from app.database.engine import Database
from app.domain.actor import Actor, Right
from app.domain.errors import (
    DatabaseUnavailable,
    ImageDamaged,
    ImageNotFound,
    InvalidFilename,
    StorageUnavailable,
)
from app.domain.image import Image
from app.domain.job import Priority
from app.domain.thumbnails import thumbnail_keys
from app.services import removal
from app.services.fsck import ConsistencyCheck
from app.services.lease import Lease
from app.services.use_cases import Services
from app.statements.images import find_images
from app.statements.rendering import Rendered, clear_renditions, record_rendition
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.database_proxy import Cut, DatabaseProxy
from testkit.jobs import rows as job_rows
from testkit.renditions import put_rendition
from testkit.storages import read_all
from testkit.uploads import LIMITS, assert_nothing_is_left, execute, file, row_keys, stored_keys

JPEG = samples.jpeg()
SIZES = (150, 300)

Act = Callable[[str], Awaitable[object]]


class Steps(MemoryStorage):
    """A storage that lets something else happen when an object is published or deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.before_delete: Act | None = None

    async def delete(self, key: str) -> None:
        act, self.before_delete = self.before_delete, None
        if act:
            await act(key)
        await super().delete(key)


@pytest.fixture
def storage() -> Steps:
    return Steps()


@pytest.fixture
def services(database: Database, storage: Steps) -> Services:
    return Services(database, storage, LIMITS, SIZES)


@pytest.fixture(autouse=True)
def _short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "REMEMBERED_SECONDS", 0.05)


async def upload(services: Services) -> Image:
    return await services.uploads.upload(file(JPEG), None)


async def row_of(database: Database, image: Image) -> Image:
    async with database.read() as session:
        return (await find_images(session, [image.id]))[image.id]


def keys_of(image: Image) -> list[str]:
    thumbnails = thumbnail_keys(image.storage_key, image.thumbnail_sizes, image.rendered_at)
    return sorted([image.storage_key, *thumbnails])


async def assert_whole(database: Database, storage: MemoryStorage, image: Image) -> Image:
    """Return the image as its row is, whose files are there, and no others."""
    now = await row_of(database, image)
    assert await stored_keys(storage) == keys_of(now)
    assert await read_all(await storage.open(now.storage_key)) == JPEG
    return now


@pytest.mark.parametrize("is_public", [True, False])
async def test_a_change_gives_file_and_thumbnails_other_keys_and_removes_those_before(
    services: Services, database: Database, storage: Steps, *, is_public: bool
) -> None:
    image = await upload(services)
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    if is_public:
        await services.visibility.change(image.id, is_public=False)
    before = await row_of(database, image)
    changed = await services.visibility.change(image.id, is_public=is_public)
    now = await assert_whole(database, storage, image)
    assert now == changed
    assert now.is_public == is_public
    assert not {*keys_of(before)} & {*keys_of(now)}
    for size, key in zip(
        SIZES, thumbnail_keys(now.storage_key, SIZES, now.rendered_at), strict=True
    ):
        assert await read_all(await storage.open(key)) == thumbnails[size]


async def test_the_row_names_the_new_files_before_the_old_ones_are_removed(
    services: Services, database: Database, storage: Steps
) -> None:
    """So a process that is killed at any step leaves an image whose files are there."""
    image = await upload(services)
    seen: list[tuple[list[str], list[str]]] = []

    async def look(_key: str) -> None:
        seen.append((await row_keys(database), await stored_keys(storage)))

    storage.before_delete = look
    changed = await services.visibility.change(image.id, is_public=False)
    assert seen == [([changed.storage_key], sorted([image.storage_key, changed.storage_key]))]


async def test_what_a_killed_change_leaves_is_found_and_removed_by_fsck(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)

    async def be_killed(_key: str) -> None:
        raise asyncio.CancelledError

    storage.before_delete = be_killed
    with pytest.raises(asyncio.CancelledError):
        await services.visibility.change(image.id, is_public=False)
    now = await row_of(database, image)
    check = ConsistencyCheck(database, storage, timedelta(0))
    (finding,) = [finding async for finding in check.find(lambda _row: None)]
    assert (finding.kind, finding.key) == ("file-without-row", image.storage_key)
    assert await check.repair(finding, delete_broken_rows=False)
    assert await assert_whole(database, storage, image) == now


async def test_making_private_again_waits_until_nobody_has_what_a_killed_attempt_left(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch, storage: Steps
) -> None:
    waits: list[str] = []

    class NotedLease(Lease):
        async def wait(self) -> None:
            waits.append("lease")

    async def note(seconds: float) -> None:
        waits.append(f"{seconds:g}")

    image = await upload(services)
    await services.visibility.change(image.id, is_public=False)
    services = Services(database, storage, LIMITS, SIZES, lease=NotedLease(1))
    monkeypatch.setattr(removal, "asyncio", SimpleNamespace(sleep=note, gather=asyncio.gather))
    await services.visibility.change(image.id, is_public=False)
    assert waits == ["0.05", "lease"]


async def test_a_change_is_answered_when_the_leases_of_the_old_files_are_over(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)
    order: list[str] = []

    class NotedLease(Lease):
        async def wait(self) -> None:
            order.append(f"wait with {await stored_keys(storage)}")

    services = Services(database, storage, LIMITS, SIZES, lease=NotedLease(1))
    changed = await services.visibility.change(image.id, is_public=False)
    assert order == [f"wait with {[changed.storage_key]}"]


async def test_of_changes_at_once_the_last_one_counts_and_nothing_is_left_over(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)
    await put_rendition(database, storage, image.id, SIZES)
    await asyncio.gather(
        *(services.visibility.change(image.id, is_public=number % 2 == 0) for number in range(8))
    )
    await assert_whole(database, storage, image)


async def test_of_a_delete_and_a_change_at_once_the_delete_wins(
    services: Services, database: Database, storage: Steps
) -> None:
    for _ in range(5):
        image = await upload(services)
        await put_rendition(database, storage, image.id, SIZES)
        outcomes = await asyncio.gather(
            services.visibility.change(image.id, is_public=False),
            services.deletion.delete(image.id),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], Image | ImageNotFound), outcomes
        assert outcomes[1] is None
        await assert_nothing_is_left(database, storage)


async def test_a_rendering_that_ends_before_the_change_is_kept(
    services: Services, database: Database, storage: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thumbnails are newer than those that the change has given new keys."""
    image = await upload(services)
    await put_rendition(database, storage, image.id, SIZES)
    before = await row_of(database, image)
    renew = iter([True])
    link_all = services.visibility._link_all

    async def link_and_let_another_end(*arguments: object) -> bool:
        linked = await link_all(*arguments)  # type: ignore[arg-type]
        if next(renew, False):
            await put_rendition(database, storage, image.id, SIZES)
            for key in thumbnail_keys(before.storage_key, SIZES, before.rendered_at):
                await storage.delete(key)  # as the rendering does
        return linked

    monkeypatch.setattr(services.visibility, "_link_all", link_and_let_another_end)
    await services.visibility.change(image.id, is_public=False)
    now = await assert_whole(database, storage, image)
    assert now.rendered_at != before.rendered_at


async def test_a_rendering_of_the_old_files_is_not_recorded_and_is_done_again(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)
    await execute(database, "TRUNCATE procrastinate_jobs")
    changed = await services.visibility.change(image.id, is_public=False)
    rendered = Rendered(1, 1, b"", image.created_at, list(SIZES), {})
    async with database.write() as session:
        assert not await record_rendition(session, image, rendered)
    assert (await row_of(database, image)).rendered_at is None
    expected = (str(image.id), Priority.NORMAL)
    assert await job_rows(database, "args->>'subject', priority") == [expected]
    async with database.write() as session:
        assert await record_rendition(session, changed, rendered)


async def test_thumbnails_under_old_keys_that_are_missed_do_not_count_as_lost(
    services: Services, database: Database, storage: Steps
) -> None:
    """Or else a delete would not know of those under the new keys."""
    image = await upload(services)
    await put_rendition(database, storage, image.id, SIZES)
    before = await row_of(database, image)
    await services.visibility.change(image.id, is_public=False)
    async with database.write() as session:
        await clear_renditions(session, [before])
    assert (await assert_whole(database, storage, image)).thumbnail_sizes == list(SIZES)


async def test_a_missing_thumbnail_is_no_obstacle_and_a_missing_original_is_one(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)
    await put_rendition(database, storage, image.id, SIZES)
    row = await row_of(database, image)
    thumbnails = thumbnail_keys(row.storage_key, SIZES, row.rendered_at)
    await storage.delete(thumbnails[0])
    changed = await services.visibility.change(image.id, is_public=False)
    assert len(await stored_keys(storage)) == 2
    await storage.delete(changed.storage_key)
    with pytest.raises(ImageDamaged):
        await services.visibility.change(image.id, is_public=True)
    assert (await row_of(database, image)) == changed
    assert len(await stored_keys(storage)) == 1


async def test_if_a_file_cannot_have_another_key_nothing_changes(
    services: Services, database: Database, storage: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await upload(services)
    await put_rendition(database, storage, image.id, SIZES)
    stage = storage.stage

    async def refuse_originals(key: str, content_type: str) -> object:
        if "-" not in key:
            raise StorageUnavailable
        return await stage(key, content_type)

    monkeypatch.setattr(storage, "stage", refuse_originals)
    with pytest.raises(StorageUnavailable):
        await services.visibility.change(image.id, is_public=False)
    now = await assert_whole(database, storage, image)
    assert now.is_public


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_after_a_commit_of_unknown_outcome_the_image_has_a_file_either_way(
    services: Services, proxy: DatabaseProxy, database: Database, storage: Steps, cut: Cut
) -> None:
    image = await upload(services)
    behind = Services(Database(proxy.url), storage, LIMITS, SIZES)
    proxy.cut("COMMIT", cut)
    with pytest.raises(DatabaseUnavailable):
        await behind.visibility.change(image.id, is_public=False)
    await behind.close()
    now = await row_of(database, image)
    assert now.is_public == (cut == "before")
    assert await read_all(await storage.open(now.storage_key)) == JPEG


async def test_a_row_that_the_database_refuses_leaves_no_files_behind(
    services: Services, storage: Steps, database: Database
) -> None:
    image = await upload(services)
    await execute(database, "ALTER TABLE images ADD CHECK (is_public) NOT VALID")
    try:
        with pytest.raises(Exception, match="images_is_public_check"):
            await services.visibility.change(image.id, is_public=False)
    finally:
        await execute(database, "ALTER TABLE images DROP CONSTRAINT images_is_public_check")
    await assert_whole(database, storage, image)


async def test_an_image_gets_another_name_in_the_same_transaction_or_nothing_changes(
    services: Services, database: Database, storage: Steps
) -> None:
    image = await upload(services)
    changed = await services.visibility.change(image.id, is_public=False, filename="a/new.jpg")
    assert (changed.filename, changed.is_public) == ("new.jpg", False)
    for is_public in (True, None):
        with pytest.raises(InvalidFilename):
            await services.visibility.change(image.id, is_public=is_public, filename="..")
    assert await assert_whole(database, storage, image) == changed


async def test_foreign_images_cannot_be_changed(services: Services, database: Database) -> None:
    image = await upload(services)
    stranger = Actor(frozenset(Right), UUID(int=7))
    for is_public in (False, True):
        with pytest.raises(ImageNotFound):
            await services.visibility.change(image.id, is_public=is_public, actor=stranger)
    assert await row_of(database, image) == image
