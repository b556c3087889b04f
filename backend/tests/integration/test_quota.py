"""The upload quota over a real database: exact, for any number of processes, at nobody's cost."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable, ImageNotFound, QuotaExceeded
from app.domain.image import Image
from app.domain.ip_address import IpAddress
from app.domain.limits import UploadLimits, subscriber_of
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.statements import quota
from app.statements.quota import Usage, count_usage, lock_quotas
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.database_proxy import DatabaseProxy
from testkit.databases import explain
from testkit.live import TIMEOUT, until
from testkit.uploads import (
    ADDRESS,
    add,
    broken_off,
    execute,
    file,
    files,
    row,
    row_keys,
    stored_keys,
)

JPEG = samples.jpeg()
STRANGER = ip_address("198.51.100.1")
ADDRESSES = [ip_address(a) for a in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")]


def services_with_quota(database: Database, storage: MemoryStorage, quota: int) -> Services:
    limits = UploadLimits(max_upload_bytes=10_000, batch_max_files=9, uploads_per_hour_per_ip=quota)
    return Services(database, storage, limits)


async def test_the_quota_is_exact_also_for_uploads_at_the_same_time(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 3)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), ADDRESS) for _ in range(12)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceeded)]
    assert len(refused) == 9
    assert all(0 < error.retry_after <= 3600 for error in refused)
    assert len(await row_keys(database)) == len(await stored_keys(storage)) == 3


async def test_the_first_come_are_the_first_served(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 2)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), address) for address in [ADDRESS, STRANGER] * 3),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Image] * 4 + [QuotaExceeded] * 2


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(
        st.tuples(st.sampled_from(ADDRESSES), st.integers(0, 1), st.integers(1, 4)),
        min_size=10,
        max_size=20,
    ),
    quota=st.integers(1, 9),
)
async def test_the_quota_is_exact_for_uploads_and_batches_of_two_processes(
    database_url: URL, sent: list[tuple[IpAddress, int, int]], quota: int
) -> None:
    databases = [Database(database_url) for _ in range(2)]
    await execute(databases[0], "TRUNCATE images CASCADE")
    storage = MemoryStorage()
    services = [services_with_quota(database, storage, quota) for database in databases]
    outcomes = await asyncio.gather(
        *(
            services[number].uploads.upload(file(JPEG), address)
            if size == 1
            else services[number].uploads.upload_batch(
                files(*(file(JPEG) for _ in range(size))), address
            )
            for address, number, size in sent
        ),
        return_exceptions=True,
    )
    stored = Counter[IpAddress]()
    for (address, _, _), outcome in zip(sent, outcomes, strict=True):
        results = outcome if isinstance(outcome, list) else [outcome]
        for result in results:
            error = result.error if isinstance(result, FailedUpload) else result
            assert isinstance(error, Image | QuotaExceeded), repr(error)
            stored[subscriber_of(address)] += isinstance(error, Image)
    wanted = Counter[IpAddress]()
    for address, _, size in sent:
        wanted[subscriber_of(address)] += size
    assert stored == {address: min(quota, count) for address, count in wanted.items()}
    assert sorted(await row_keys(databases[0])) == await stored_keys(storage)
    for database in databases:
        await database.close()


async def test_a_used_up_quota_is_reported_before_the_file_is_read(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 1)
    await services.uploads.upload(file(JPEG), ADDRESS)
    with pytest.raises(QuotaExceeded):
        await services.uploads.upload(broken_off(), ADDRESS)


async def test_a_deleted_image_frees_its_place_at_once(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 1)
    image = await services.uploads.upload(file(JPEG), ADDRESS)
    with pytest.raises(QuotaExceeded):
        await services.uploads.upload(file(JPEG), ADDRESS)
    await services.deletion.delete(image.id)
    await services.uploads.upload(file(JPEG), ADDRESS)


async def test_the_quota_of_one_address_is_not_that_of_another(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 1)
    await services.uploads.upload(file(JPEG), ADDRESS)
    await services.uploads.upload(file(JPEG), ip_address("192.0.2.8"))
    await services.uploads.upload(file(JPEG), None)


async def test_a_batch_stores_what_the_quota_still_allows(
    database: Database, storage: MemoryStorage
) -> None:
    results = await services_with_quota(database, storage, 2).uploads.upload_batch(
        files(file(JPEG), file(JPEG), file(JPEG)), ADDRESS
    )
    assert [type(result) for result in results] == [Image, Image, FailedUpload]


async def test_uploads_of_one_address_at_once_leave_the_connections_to_others(
    database: Database,
    database_url: URL,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even while another process holds the lock for which they all wait."""
    monkeypatch.setattr(quota, "LONGEST_HOLD", timedelta(minutes=1))
    services = services_with_quota(database, storage, 100)
    other = Database(database_url)
    async with other.write() as session:
        await lock_quotas(session, [ADDRESS])
        uploads = [
            asyncio.create_task(services.uploads.upload(file(JPEG), ADDRESS)) for _ in range(60)
        ]
        await until(lambda: len(storage._objects) == len(uploads))
        assert (await services.images.page(20, None)).items == []
        for act in (services.images.get, services.deletion.delete):
            with pytest.raises(ImageNotFound):
                await act(UUID(int=1))
        assert database._engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    assert len(await asyncio.gather(*uploads)) == len(await row_keys(database)) == 60
    await other.close()


async def test_uploads_of_one_address_at_once_share_their_statements(
    proxy: DatabaseProxy, storage: MemoryStorage
) -> None:
    database = Database(proxy.url)
    services = services_with_quota(database, storage, 30)
    outcomes = await asyncio.gather(
        *(services.uploads.upload(file(JPEG), ADDRESS) for _ in range(60)), return_exceptions=True
    )
    assert sum(isinstance(outcome, Image) for outcome in outcomes) == 30
    assert len([s for s in proxy.statements if s.startswith("INSERT")]) < 10
    assert len([s for s in proxy.statements if "FROM images" in s]) < 20
    await database.close()


async def test_a_process_that_stops_while_it_holds_a_quota_holds_it_for_a_bounded_time(
    database: Database,
    proxy: DatabaseProxy,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quota, "LONGEST_HOLD", timedelta(seconds=0.5))
    behind_proxy = Database(proxy.url)
    proxy.hold_at("INSERT")
    stopped = asyncio.create_task(
        services_with_quota(behind_proxy, storage, 2).uploads.upload(file(JPEG), ADDRESS)
    )
    await until(lambda: proxy.statements and proxy.statements[-1].startswith("INSERT"))
    monkeypatch.setattr(quota, "LONGEST_HOLD", timedelta(seconds=TIMEOUT))
    image = await services_with_quota(database, storage, 2).uploads.upload(file(JPEG), ADDRESS)
    proxy.release()
    with pytest.raises(DatabaseUnavailable):
        await stopped
    assert await stored_keys(storage) == await row_keys(database) == [image.storage_key]
    await behind_proxy.close()


async def test_processes_that_lock_the_same_quotas_never_wait_for_each_other(
    database_url: URL,
) -> None:
    async def lock(addresses: list[IpAddress]) -> None:
        database = Database(database_url)
        for _ in range(50):
            async with database.write() as session:
                await lock_quotas(session, addresses)
        await database.close()

    many = [ip_address(f"192.0.2.{number}") for number in range(20)]
    await asyncio.gather(lock(many), lock(many[::-1]), lock(many[5:]), lock(many[15::-1]))


async def test_a_row_that_is_refused_fails_no_other_and_takes_no_place(
    database: Database, storage: MemoryStorage
) -> None:
    services = services_with_quota(database, storage, 2)
    await execute(
        database, "ALTER TABLE images ADD CONSTRAINT no_cats CHECK (filename <> 'cat.jpg')"
    )
    try:
        names = ["a.jpg", "cat.jpg", "b.jpg", "c.jpg"]
        outcomes = await asyncio.gather(
            *(services.uploads.upload(file(JPEG, filename=name), ADDRESS) for name in names),
            return_exceptions=True,
        )
    finally:
        await execute(database, "ALTER TABLE images DROP CONSTRAINT no_cats")
    assert [type(outcome) for outcome in outcomes] == [Image, IntegrityError, Image, QuotaExceeded]
    assert sorted(await row_keys(database)) == await stored_keys(storage)


@pytest.mark.parametrize(
    ("address", "others", "expected"),
    [
        ("192.0.2.1", ["192.0.2.1", "192.0.2.1", "192.0.2.2"], 2),
        ("192.0.2.3", ["192.0.2.1"], 0),
        ("2001:db8:0:1::1", ["2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"], 2),
        ("2001:db8:0:1::1", ["2001:db8:0:2::1", "2001:db8::1"], 0),
    ],
)
async def test_usage_counts_an_address_or_the_network_of_a_subscriber(
    database: Database, address: str, others: list[str], expected: int
) -> None:
    await add(database, *[row(address=other) for other in others])
    assert (await usage(database, ip_address(address))).images == expected


async def usage(database: Database, address: IpAddress) -> Usage:
    subscriber = subscriber_of(address)
    async with database.read() as session:
        found = await count_usage(session, [STRANGER, subscriber, subscriber])
    assert found[STRANGER] == (0, 3600)
    return found[subscriber]


async def test_usage_expires_after_the_period_and_says_when(database: Database) -> None:
    now = datetime.now(UTC)
    for minutes in (61, 50, 1):
        await add(database, row(now - timedelta(minutes=minutes), str(ADDRESS)))
    images, seconds = await usage(database, ADDRESS)
    assert images == 2
    assert 540 <= seconds <= 600


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(days=365)])
async def test_images_dated_ahead_by_a_clock_that_was_wrong_take_no_place(
    database: Database, storage: MemoryStorage, ahead: timedelta
) -> None:
    now = datetime.now(UTC)
    await add(database, *[row(now + ahead, str(ADDRESS)) for _ in range(3)])
    services = services_with_quota(database, storage, 1)
    await services.uploads.upload(file(JPEG), ADDRESS)
    with pytest.raises(QuotaExceeded) as refused:
        await services.uploads.upload(file(JPEG), ADDRESS)
    assert 0 < refused.value.retry_after <= 3600


async def test_a_transaction_that_waited_counts_what_was_added_while_it_did(
    database: Database,
) -> None:
    async with database.write() as waiting:
        await waiting.execute(text("SELECT pg_sleep(0.01)"))
        await add(database, row(address=str(ADDRESS)))
        found = await count_usage(waiting, [ADDRESS])
        assert found[ADDRESS].images == 1
        assert found[ADDRESS].seconds <= 3600


@pytest.mark.parametrize("subscribers", [1, 20])
@pytest.mark.parametrize("distinct", [200, 20_000])
@pytest.mark.parametrize("youngest", ["0", "1 year"])
async def test_usage_is_answered_by_its_index_however_many_are_asked_about(
    database: Database, youngest: str, distinct: int, subscribers: int
) -> None:
    """Also where hardly a row is young, and the index on the time looks as good to the planner."""
    async with database.write() as session:
        await session.execute(
            text(
                "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', n || '.jpg', 'image/jpeg', "
                "1, '192.0.2.0'::inet + n % :distinct, "
                "now() - CAST(:youngest AS text)::interval - n * interval '1 second' "
                "FROM generate_series(1, 20000) AS n"
            ),
            {"distinct": distinct, "youngest": youngest},
        )
        await session.execute(text("ANALYZE images"))
    asked = [ip_address("192.0.2.0") + number for number in range(subscribers)]
    plan = await explain(database, lambda session: count_usage(session, asked))
    assert "ix_images_upload_ip_created_at" in plan
    assert "Seq Scan" not in plan
