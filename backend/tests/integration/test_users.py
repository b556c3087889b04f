"""Users: added, listed and changed; deleted by a job that can be interrupted at any point."""

import asyncio
from uuid import UUID, uuid4

import pytest

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.image import Image
from app.domain.job import DELETE_USER, NewJob
from app.domain.user import Deletion, UserRole
from app.domain.user_errors import InvalidEmail, InvalidKey, UserExists, UserNotFound
from app.jobs.user_deletion import user_deletion_task
from app.queue.task import Task
from app.queue.worker import QueueWorker
from app.services import user_deletion
from app.services.changes import Changes
from app.services.deletion import Deletion as ImageDeletion
from app.services.removal import Removal
from app.services.use_cases import Services
from app.services.user_deletion import IMAGES_AT_ONCE, UserDeletion
from app.services.users import Users
from app.statements.jobs import insert_jobs
from app.statements.users import delete_user
from app.storage.memory import MemoryStorage
from testkit import jobs, samples
from testkit.keys import make_key, make_user
from testkit.live import TIMEOUT
from testkit.uploads import add, file, row, stored_keys


@pytest.fixture
def deletion(database: Database, storage: MemoryStorage) -> UserDeletion:
    changes = Changes(database, None)
    return UserDeletion(database, changes, ImageDeletion(changes, Removal(storage)), storage)


async def upload(services: Services, owner: UUID | None) -> Image:
    image = await services.uploads.upload(file(samples.jpeg()), None, owner)
    assert isinstance(image, Image)
    return image


async def is_gone(services: Services, user_id: UUID) -> bool:
    try:
        await services.users.get(user_id)
    except UserNotFound:
        return True
    return False


async def test_an_email_names_one_user_whatever_its_case(services: Services) -> None:
    user = await services.users.add(" Ada@Example.org ", UserRole.ADMIN, 10, 2)
    assert user == await services.users.get("ada@example.ORG") == await services.users.get(user.id)
    assert (user.email, user.role, user.quota_bytes, user.quota_images) == (
        "Ada@Example.org",
        UserRole.ADMIN,
        10,
        2,
    )
    with pytest.raises(UserExists):
        await services.users.add("ada@example.org")
    with pytest.raises(UserNotFound):
        await services.users.get("bob@example.org")


@pytest.mark.parametrize("email", ["", "ada", "@", "a@", "a b@c", "a@b\nc", "ä@b", "a\0@b"])
async def test_what_is_no_email_names_nobody(services: Services, email: str) -> None:
    with pytest.raises(InvalidEmail):
        await services.users.add(email)


async def test_users_are_listed_by_their_emails_in_pages(services: Services) -> None:
    emails = ["c@x.org", "A@x.org", "b@x.org", "D@x.org", "e@x.org"]
    for email in emails:
        await services.users.add(email)
    first = await services.users.page(2)
    second = await services.users.page(2, first.next or "")
    third = await services.users.page(2, second.next or "")
    pages = [[user.email for user in page.items] for page in (first, second, third)]
    assert pages == [["A@x.org", "b@x.org"], ["c@x.org", "D@x.org"], ["e@x.org"]]
    assert third.next is None
    assert [user.email async for user in services.users.all()] == sorted(emails, key=str.lower)


async def test_what_is_changed_of_a_user_changes_and_the_rest_stays(services: Services) -> None:
    user = await services.users.add("ada@example.org", quota_bytes=10)
    changed = await services.users.change(user.id, {"quota_images": 3})
    assert changed == user._replace(quota_images=3)
    changed = await services.users.change(user.id, {"quota_bytes": None, "role": UserRole.ADMIN})
    assert changed == user._replace(quota_images=3, quota_bytes=None, role=UserRole.ADMIN)
    assert await services.users.change(user.id, {}) == changed
    disabled = await services.users.change(user.id, {"disabled": True})
    assert disabled.disabled_at
    assert await services.users.change(user.id, {"disabled": True}) == disabled
    assert await services.users.change(user.id, {"disabled": False}) == changed
    with pytest.raises(UserNotFound):
        await services.users.change(uuid4(), {"disabled": True})


@pytest.mark.parametrize("images", Deletion)
async def test_a_deleted_user_is_gone_with_their_keys_and_their_images_as_was_said(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    deletion: UserDeletion,
    images: Deletion,
) -> None:
    holder, other = await make_key(database), await make_key(database)
    own = [await upload(services, holder.user.id) for _ in range(IMAGES_AT_ONCE + 1)]
    others = [await upload(services, other.user.id), await upload(services, None)]
    begun = await services.users.delete(holder.user.id, images)
    assert begun.disabled_at
    assert begun.deletion is images
    with pytest.raises(InvalidKey):
        await services.authentication.actor_of(holder.key)
    with pytest.raises(UserNotFound):
        await services.users.change(holder.user.id, {"disabled": False})
    await deletion.run(holder.user.id)
    assert await is_gone(services, holder.user.id)
    kept = others + ([image._replace(owner_id=None) for image in own] if images == "keep" else [])
    page = await services.images.page(100, None)
    assert sorted(page.items) == sorted(kept)
    assert set(await stored_keys(storage)) == {image.storage_key for image in kept}
    assert await services.authentication.actor_of(other.key) == other.actor


@pytest.mark.parametrize("images", Deletion)
async def test_a_deletion_goes_on_where_it_was_interrupted(
    services: Services,
    database: Database,
    deletion: UserDeletion,
    monkeypatch: pytest.MonkeyPatch,
    images: Deletion,
) -> None:
    user = await make_user(database)
    for _ in range(3 * IMAGES_AT_ONCE):
        await upload(services, user.id)
    await services.users.delete(user.id, images)
    monkeypatch.setattr(user_deletion, "SLICE_SECONDS", 0.0)
    used = []
    while not await is_gone(services, user.id):
        used.append((await services.users.get(user.id)).used_images)
        await deletion.run(user.id)
    assert used == [3 * IMAGES_AT_ONCE, 2 * IMAGES_AT_ONCE, IMAGES_AT_ONCE, 0]


async def test_a_worker_deletes_a_user_slice_by_slice(
    services: Services,
    database: Database,
    deletion: UserDeletion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_deletion, "SLICE_SECONDS", 0.0)
    user = await make_user(database)
    await add(database, *(row(owner_id=user.id) for _ in range(IMAGES_AT_ONCE + 1)))
    await services.users.delete(user.id, Deletion.DELETE)
    worker = QueueWorker(database, [user_deletion_task(deletion)], 1)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(TIMEOUT):
        while await jobs.rows(database, "id"):  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.05)
    worker.stop()
    await running
    assert await is_gone(services, user.id)
    assert (await services.images.page(1, None)).items == []


async def test_other_jobs_go_before_the_next_slice(
    services: Services,
    database: Database,
    deletion: UserDeletion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(user_deletion, "SLICE_SECONDS", 0.0)
    user = await make_user(database)
    await add(database, *(row(owner_id=user.id) for _ in range(2 * IMAGES_AT_ONCE)))
    left: list[int] = []
    worker: QueueWorker

    async def run_other(_subject: str) -> None:
        left.append((await services.images.count()).number)
        worker.stop()

    async def run_slice(subject: str) -> None:
        await deletion.run(UUID(subject))
        async with database.write() as session:
            await insert_jobs(session, [NewJob("other", "")])

    tasks = [
        Task(DELETE_USER, run_slice, set_aside=None, seconds=TIMEOUT),
        Task("other", run_other, set_aside=None, seconds=TIMEOUT),
    ]
    worker = QueueWorker(database, tasks, 1)
    await services.users.delete(user.id, Deletion.DELETE)
    await asyncio.wait_for(worker.run(), TIMEOUT)
    assert left == [IMAGES_AT_ONCE]


async def test_while_the_storage_is_away_no_row_goes_without_its_file(
    services: Services,
    storage: MemoryStorage,
    deletion: UserDeletion,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = await make_user(database)
    image = await upload(services, user.id)
    await services.users.delete(user.id, Deletion.DELETE)

    async def fail(*_key: str) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as away:
        away.setattr(storage, "probe", fail)
        away.setattr(storage, "delete", fail)
        with pytest.raises(StorageUnavailable):
            await deletion.run(user.id)
    assert await services.images.get(image.id)
    await deletion.run(user.id)
    assert await is_gone(services, user.id)
    assert not await stored_keys(storage)


async def test_said_again_the_last_word_counts_for_the_images_that_are_left(
    services: Services, database: Database, deletion: UserDeletion
) -> None:
    user = await make_user(database)
    await upload(services, user.id)
    await services.users.delete(user.id, Deletion.DELETE)
    await services.users.delete(user.id, Deletion.KEEP)
    assert len(await jobs.rows(database, "id")) == 1
    await deletion.run(user.id)
    assert len((await services.images.page(2, None)).items) == 1
    with pytest.raises(UserNotFound):
        await services.users.delete(user.id, Deletion.KEEP)


async def test_an_image_that_is_uploaded_during_a_deletion_keeps_its_owner_until_it_is_gone_too(
    services: Services, database: Database
) -> None:
    user = await make_user(database)
    await upload(services, user.id)
    async with database.write() as session:
        assert not await delete_user(session, user.id)
    assert await services.users.get(user.id)


async def test_a_user_who_is_not_to_be_deleted_is_not(
    services: Services, database: Database, deletion: UserDeletion
) -> None:
    """As a job says that was left from before a restore of the database."""
    user = await make_user(database)
    image = await upload(services, user.id)
    await deletion.run(user.id)
    await deletion.run(uuid4())
    assert await Users(database).get(user.id)
    assert (await services.images.page(2, None)).items == [image]
