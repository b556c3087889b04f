"""The storage quota of users over a real database: exact, for any number of processes."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    ImageNotFound,
    QuotaExceeded,
    StorageQuotaExceeded,
)
from app.domain.image import Image
from app.domain.limits import UploadLimits
from app.domain.user_errors import InvalidKey
from app.services.staging import IncomingFile, UploadOptions
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.statements import storage_use
from app.statements.storage_use import add_use
from app.statements.users import disown_images
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.database_proxy import DatabaseProxy
from testkit.keys import make_user
from testkit.live import TIMEOUT, until
from testkit.uploads import ADDRESS, broken_off, execute, file, files, row_keys, stored_keys

JPEG = samples.jpeg()
LIMITS = UploadLimits(max_upload_bytes=100_000, batch_max_files=9, uploads_per_hour_per_ip=0)


class Use(NamedTuple):
    bytes: int
    images: int


async def add_user(
    database: Database, quota_bytes: int | None = None, quota_images: int | None = None
) -> UUID:
    user = await make_user(database, quota_bytes=quota_bytes, quota_images=quota_images)
    return user.id


async def recorded(database: Database, user_id: UUID) -> Use:
    """Return what the row of a user says; it must be what their images are."""
    async with database.read() as session:
        rows = await session.execute(
            text(
                "SELECT used_bytes, used_images, coalesce(sum(file_size), 0), count(images.id) "
                "FROM users LEFT JOIN images ON owner_id = users.id "
                "WHERE users.id = :id GROUP BY users.id"
            ),
            {"id": user_id},
        )
        used_bytes, used_images, *images = rows.one()
    assert [used_bytes, used_images] == images
    return Use(used_bytes, used_images)


def services_of(database: Database, storage: MemoryStorage, quota: int = 0) -> Services:
    return Services(database, storage, LIMITS._replace(uploads_per_hour_per_ip=quota))


async def test_a_quota_of_images_is_exact_also_for_uploads_at_the_same_time(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database, quota_images=3)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), None, owner) for _ in range(12)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == sorted(
        ["Image"] * 3 + ["StorageQuotaExceeded"] * 9
    )
    assert await recorded(database, owner) == (3 * len(JPEG), 3)
    assert sorted(await row_keys(database)) == await stored_keys(storage)


async def test_a_refusal_says_which_quota_how_much_is_used_and_what_is_needed(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    allowed = 2 * len(JPEG) - 1
    owner = await add_user(database, quota_bytes=allowed)
    await services.uploads.upload(file(JPEG), None, owner)
    with pytest.raises(StorageQuotaExceeded) as refused:
        await services.uploads.upload(file(JPEG), None, owner)
    error = refused.value
    assert (error.limit, error.allowed) == ("quota_bytes", allowed)
    assert (error.used, error.needed) == (len(JPEG), len(JPEG))


async def test_a_file_has_room_up_to_the_last_byte(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database, quota_bytes=2 * len(JPEG), quota_images=2)
    for _ in range(2):
        await services.uploads.upload(file(JPEG), None, owner)
    assert await recorded(database, owner) == (2 * len(JPEG), 2)


async def test_a_smaller_file_of_a_batch_has_the_room_that_a_larger_one_had_not(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database, quota_bytes=2 * len(JPEG))
    sent = files(file(JPEG), file(JPEG + bytes(len(JPEG))), file(JPEG))
    results = await services.uploads.upload_batch(sent, None, owner)
    assert [type(result) for result in results] == [Image, FailedUpload, Image]
    assert await recorded(database, owner) == (2 * len(JPEG), 2)


async def test_a_used_up_quota_is_reported_before_the_file_is_read(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    for owner in (
        await add_user(database, quota_bytes=0),
        await add_user(database, quota_images=0),
    ):
        with pytest.raises(StorageQuotaExceeded):
            await services.uploads.upload(broken_off(), None, owner)
        [failed] = await services.uploads.upload_batch(files(broken_off()), None, owner)
        assert isinstance(failed, FailedUpload)
        assert isinstance(failed.error, StorageQuotaExceeded)


async def test_a_file_that_may_be_there_already_is_not_refused_before_it_is_read(
    database: Database, storage: MemoryStorage
) -> None:
    owner = await add_user(database, quota_images=0)
    sent = IncomingFile("photo.jpg", file(JPEG).chunks, UploadOptions(on_duplicate="return"))
    with pytest.raises(StorageQuotaExceeded) as refused:
        await services_of(database, storage).uploads.upload(sent, None, owner)
    assert refused.value.needed == 1
    assert await anext(sent.chunks, None) is None


async def test_a_deleted_image_makes_room_at_once(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database, quota_bytes=len(JPEG))
    image = await services.uploads.upload(file(JPEG), None, owner)
    with pytest.raises(StorageQuotaExceeded):
        await services.uploads.upload(file(JPEG), None, owner)
    await services.deletion.delete(image.id)
    assert await recorded(database, owner) == (0, 0)
    await services.uploads.upload(file(JPEG), None, owner)


async def test_what_one_user_or_nobody_owns_takes_no_room_of_another(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner, other = await add_user(database, quota_images=1), await add_user(database)
    for owner_id in (None, other, None, owner, other):
        await services.uploads.upload(file(JPEG), None, owner_id)
    assert await recorded(database, owner) == (len(JPEG), 1)
    assert await recorded(database, other) == (2 * len(JPEG), 2)


async def test_an_upload_whose_owner_was_deleted_meanwhile_is_refused_and_fails_no_other(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), None, one) for one in (owner, uuid4(), None, owner)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Image, InvalidKey, Image, Image]
    assert sorted(await row_keys(database)) == await stored_keys(storage)


async def test_what_the_quota_of_the_address_refuses_takes_no_room(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage, quota=2)
    owner = await add_user(database, quota_images=9)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), ADDRESS, owner) for _ in range(5)),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == sorted(
        [Image.__name__] * 2 + [QuotaExceeded.__name__] * 3
    )
    assert await recorded(database, owner) == (2 * len(JPEG), 2)


async def test_a_row_that_is_refused_fails_no_other_and_takes_no_room(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database, quota_images=2)
    await execute(
        database, "ALTER TABLE images ADD CONSTRAINT no_cats CHECK (filename <> 'cat.jpg')"
    )
    try:
        names = ["a.jpg", "cat.jpg", "b.jpg", "c.jpg"]
        outcomes = await asyncio.gather(
            *(services.uploads.upload(file(JPEG, filename=name), None, owner) for name in names),
            return_exceptions=True,
        )
    finally:
        await execute(database, "ALTER TABLE images DROP CONSTRAINT no_cats")
    types = [type(outcome) for outcome in outcomes]
    assert types == [Image, IntegrityError, Image, StorageQuotaExceeded]
    assert await recorded(database, owner) == (2 * len(JPEG), 2)


async def test_images_that_become_nobodys_take_no_room_any_more(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_of(database, storage)
    owner = await add_user(database)
    images = [await services.uploads.upload(file(JPEG), None, owner) for _ in range(3)]
    async with database.write() as session:
        await disown_images(session, owner, [image.id for image in images[:2]])
    assert await recorded(database, owner) == (len(JPEG), 1)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(
        st.tuples(
            st.sampled_from([0, 1, 2, None]),  # whose it is
            st.integers(0, 1),  # which process it goes to
            st.lists(st.integers(0, 3), min_size=1, max_size=4),  # how large the files are
            st.booleans(),  # whether its images are deleted at once
        ),
        min_size=8,
        max_size=16,
    ),
    quotas=st.lists(
        st.tuples(st.none() | st.integers(0, 12), st.none() | st.integers(0, 6)),
        min_size=3,
        max_size=3,
    ),
)
async def test_the_quotas_are_exact_for_uploads_batches_and_deletes_of_two_processes(
    database_url: URL,
    sent: list[tuple[int | None, int, list[int], bool]],
    quotas: list[tuple[int | None, int | None]],
) -> None:
    databases = [Database(database_url) for _ in range(2)]
    await execute(databases[0], "TRUNCATE images, users CASCADE")
    storage = MemoryStorage()
    services = [services_of(database, storage) for database in databases]
    limits = [
        (size and size * len(JPEG), images) for size, images in quotas
    ]  # in files of the smallest size
    users = [await add_user(databases[0], *limit) for limit in limits]

    async def act(owner: int | None, process: int, sizes: Sequence[int], *, delete: bool) -> None:
        items = [file(JPEG + bytes(size * len(JPEG))) for size in sizes]
        owner_id = None if owner is None else users[owner]
        results = await services[process].uploads.upload_batch(files(*items), None, owner_id)
        for result in results:
            if isinstance(result, FailedUpload):
                assert isinstance(result.error, StorageQuotaExceeded)
                assert result.error.used + result.error.needed > result.error.allowed
            elif delete:
                await services[1 - process].deletion.delete(result.id)

    await asyncio.gather(
        *(act(owner, process, sizes, delete=delete) for owner, process, sizes, delete in sent)
    )
    for number, (most_bytes, most_images) in enumerate(limits):
        use = await recorded(databases[0], users[number])
        assert most_bytes is None or use.bytes <= most_bytes
        assert most_images is None or use.images <= most_images
        wanted = [sizes for owner, _, sizes, _ in sent if owner == number]
        deleted = any(delete for owner, _, _, delete in sent if owner == number)
        if most_bytes is None and not deleted:
            count = sum(map(len, wanted))
            assert use.images == (count if most_images is None else min(count, most_images))
    assert sorted(await row_keys(databases[0])) == await stored_keys(storage)
    for database in databases:
        await database.close()


async def test_uploads_of_one_user_at_once_share_their_transactions(
    proxy: DatabaseProxy, storage: MemoryStorage
) -> None:
    database = Database(proxy.url)
    services = services_of(database, storage)
    owner = await add_user(database, quota_images=100)
    await asyncio.gather(*(services.uploads.upload(file(JPEG), None, owner) for _ in range(60)))
    assert await recorded(database, owner) == (60 * len(JPEG), 60)
    assert len([s for s in proxy.statements if "UPDATE users" in s]) < 15
    await database.close()


async def test_an_upload_that_nobody_owns_asks_nothing_about_users(
    proxy: DatabaseProxy, storage: MemoryStorage
) -> None:
    database = Database(proxy.url)
    services = services_of(database, storage)
    image = await services.uploads.upload(file(JPEG), ADDRESS)
    await services.deletion.delete(image.id)
    assert [s for s in proxy.statements if "users" in s] == []
    await database.close()


async def test_uploads_of_one_user_at_once_leave_the_connections_to_others(
    database: Database,
    database_url: URL,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even while another process holds the row for which they all wait."""
    monkeypatch.setattr(storage_use, "LONGEST_HOLD", timedelta(minutes=1))
    services = services_of(database, storage)
    owner = await add_user(database, quota_images=100)
    other = Database(database_url)
    async with other.write() as session:
        await add_use(session, {owner: (0, 0)})
        uploads = [
            asyncio.create_task(services.uploads.upload(file(JPEG), None, owner)) for _ in range(60)
        ]
        await until(lambda: len(storage._objects) == len(uploads))
        assert (await services.images.page(20, None)).items == []
        with pytest.raises(ImageNotFound):
            await services.deletion.delete(UUID(int=1))
        assert database._engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    assert len(await asyncio.gather(*uploads)) == 60
    assert await recorded(database, owner) == (60 * len(JPEG), 60)
    await other.close()


async def test_a_process_that_stops_while_it_holds_a_user_does_so_for_a_bounded_time(
    database: Database,
    proxy: DatabaseProxy,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_use, "LONGEST_HOLD", timedelta(seconds=0.5))
    owner = await add_user(database, quota_images=2)
    behind_proxy = Database(proxy.url)
    proxy.hold_at("INSERT")
    stopped = asyncio.create_task(
        services_of(behind_proxy, storage).uploads.upload(file(JPEG), None, owner)
    )
    await until(lambda: proxy.statements and proxy.statements[-1].startswith("INSERT"))
    monkeypatch.setattr(storage_use, "LONGEST_HOLD", timedelta(seconds=TIMEOUT))
    await services_of(database, storage).uploads.upload(file(JPEG), None, owner)
    proxy.release()
    with pytest.raises(DatabaseUnavailable):
        await stopped
    assert await recorded(database, owner) == (len(JPEG), 1)
    await behind_proxy.close()


async def test_processes_that_change_the_same_users_never_wait_for_each_other(
    database: Database, database_url: URL
) -> None:
    many = [await add_user(database) for _ in range(20)]

    async def change(users: list[UUID]) -> None:
        own = Database(database_url)
        for _ in range(30):
            async with own.write() as session:
                await add_use(session, dict.fromkeys(users, (7, 1)))
        await own.close()

    await asyncio.gather(change(many), change(many[::-1]), change(many[5:]), change(many[15::-1]))
    async with database.read() as session:
        uses = await session.execute(
            text("SELECT id, used_bytes, used_images FROM users ORDER BY used_images, id")
        )
        found = {user_id: (size, images) for user_id, size, images in uses}
    for place, user_id in enumerate(many):
        times = 30 * (2 + (place >= 5) + (place <= 15))
        assert found[user_id] == (7 * times, times)
