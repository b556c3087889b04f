"""Claims to requests with a key: whoever holds one stores, and everybody finds what is stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.database.engine import Database, WriteSession
from app.domain.errors import DatabaseUnavailable, IdempotencyKeyReused, UploadUnderWay
from app.domain.idempotency import Claim
from app.domain.image import Image, NewImage
from app.services.cleanup import CleanUp
from app.services.idempotency import LEASE, Idempotency, keyed_file, keyed_files
from app.services.keyed import KeyedRequest
from app.services.staging import IncomingFile
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.statements.idempotency import (
    delete_claim,
    find_answer,
    find_keyed_images,
    forget_requests,
    insert_claim,
    insert_keyed_images,
    lock_claims,
    release_claim,
    renew_claims,
)
from app.statements.images import insert_images
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.database_proxy import Cut, DatabaseProxy
from testkit.databases import explain, until_a_statement_waits_for_a_lock
from testkit.uploads import (
    LIMITS,
    execute,
    file,
    row_keys,
    stored_keys,
    upload_batch_once,
    upload_once,
)

JPEG = samples.jpeg()
PNG = samples.png()
EXPIRE = "UPDATE idempotency_keys SET claimed_until = now()"
"""As if the processes that hold the claims had been dead for half a minute."""


@pytest.fixture
async def another(database_url: URL, storage: MemoryStorage) -> AsyncIterator[Services]:
    """Return what a second process works with."""
    database = Database(database_url)
    services = Services(database, storage, LIMITS)
    yield services
    await services.close()
    await database.close()


async def upload(services: Services, request: KeyedRequest, content: bytes = JPEG) -> Image:
    return await services.uploads.upload(keyed_file(request, file(content)), None)


async def claim_and_upload(services: Services, content: bytes = JPEG) -> Image:
    async with services.idempotency.keyed("somebody", "key", "file") as request:
        return await upload(services, request, content)


async def claim_and_upload_batch(
    services: Services, *contents: bytes
) -> list[Image | FailedUpload]:
    return await upload_batch_once(services, *map(file, contents))


async def test_a_holder_that_still_works_stores_nothing_once_its_claim_is_taken_over(
    services: Services, another: Services, database: Database, storage: MemoryStorage
) -> None:
    async with services.idempotency.keyed("somebody", "key", "file") as frozen:
        with pytest.raises(UploadUnderWay):
            await claim_and_upload(another)
        await execute(database, EXPIRE)
        image = await claim_and_upload(another)
        with pytest.raises(UploadUnderWay):
            await upload(services, frozen)
        await services.idempotency.keep(frozen, 201, None, b"of the frozen one")
    assert await stored_keys(storage) == [image.storage_key]
    assert await claim_and_upload(services) == image


async def test_a_batch_that_loses_its_claim_half_way_leaves_the_answer_to_the_other_holder(
    services: Services, another: Services, database: Database, storage: MemoryStorage
) -> None:
    taken_over: list[Image | FailedUpload] = []

    async def contents() -> AsyncIterator[IncomingFile]:
        yield file(JPEG)
        yield file(PNG)
        await execute(database, EXPIRE)
        taken_over.extend(await claim_and_upload_batch(another, JPEG, PNG))

    async with services.idempotency.keyed("somebody", "key", "files") as request:
        with pytest.raises(UploadUnderWay):
            await services.uploads.upload_batch(keyed_files(request, contents()), None)
    assert await claim_and_upload_batch(services, JPEG, PNG) == taken_over
    assert len(await stored_keys(storage)) == len(await row_keys(database)) == 2


async def test_rows_of_others_are_stored_where_one_of_their_batch_has_lost_its_claim(
    services: Services, another: Services, database: Database, storage: MemoryStorage
) -> None:
    async with services.idempotency.keyed("somebody", "key", "file") as frozen:
        await execute(database, EXPIRE)
        image = await claim_and_upload(another)
        with_it = [services.uploads.upload(file(JPEG), None) for _ in range(3)]
        lost, *stored = await asyncio.gather(
            upload(services, frozen), *with_it, return_exceptions=True
        )
    assert isinstance(lost, UploadUnderWay)
    keys = {one.storage_key for one in stored if isinstance(one, Image)}
    assert {*await stored_keys(storage)} == {image.storage_key, *keys}
    assert len(keys) == 3


async def test_a_claim_that_is_renewed_is_not_taken_over(
    services: Services, another: Services, database: Database
) -> None:
    async with services.idempotency.keyed("somebody", "key", "file"):
        await execute(database, EXPIRE)
        await services.idempotency.renew()
        with pytest.raises(UploadUnderWay):
            await claim_and_upload(another)


async def test_whoever_takes_over_waits_for_a_commit_on_its_way_and_finds_what_it_stored(
    services: Services, another: Services, database: Database
) -> None:
    """As where the connection was lost before the answer to the COMMIT."""
    image_id = uuid4()
    new = NewImage(image_id, "a.jpg", "a.jpg", "image/jpeg", 1, None)
    async with services.idempotency.keyed("somebody", "key", "file") as request:
        await execute(database, EXPIRE)
        stored = keyed_file(request, file(JPEG))
        async for _ in stored.chunks:
            pass
        assert stored.keyed
        record = (request.claim, 0, stored.keyed.fingerprint, image_id)
        async with database.write() as session:
            assert await lock_claims(session, [request.claim]) == {request.claim}
            hold = text("SHOW idle_in_transaction_session_timeout")
            assert (await session.execute(hold)).scalar() == "5s"
            await insert_images(session, [new])
            await insert_keyed_images(session, [record])
            taking_over = asyncio.create_task(claim_and_upload(another))
            await until_a_statement_waits_for_a_lock(database)
        assert (await taking_over).id == image_id
    assert await row_keys(database) == ["a.jpg"]


STATEMENTS = (
    *("INSERT INTO idempotency_keys", "BEGIN", "SELECT locked", "INSERT INTO images"),
    *("INSERT INTO idempotency_files", "COMMIT", "UPDATE idempotency_keys"),
)
"""What an upload with a key has carried out, in this order."""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_upload_cut_off_at_any_statement_is_stored_once_when_it_is_sent_again(
    proxy: DatabaseProxy, database: Database, storage: MemoryStorage, when: Cut
) -> None:
    behind = Database(proxy.url)
    services = Services(behind, storage, LIMITS)
    for number, statement in enumerate(STATEMENTS, start=1):
        proxy.cut(statement, when)
        with suppress(DatabaseUnavailable):
            await upload_once(services, file(JPEG), statement)
        assert proxy.cuts == number
        await upload_once(services, file(JPEG), statement)
        assert len(await row_keys(database)) == number, statement
    assert {*await row_keys(database)} <= {*await stored_keys(storage)}
    await services.close()
    await behind.close()


async def test_a_batch_whose_process_died_goes_on_with_what_it_had_not_stored(
    services: Services, another: Services, database: Database, storage: MemoryStorage
) -> None:
    first = await claim_and_upload_batch(services, JPEG, PNG, JPEG)
    await execute(
        database,
        "DELETE FROM idempotency_files WHERE position = 1",
        "DELETE FROM images WHERE content_type = 'image/png'",
    )
    again = await claim_and_upload_batch(another, JPEG, PNG, JPEG)
    assert (again[0], again[2]) == (first[0], first[2])
    assert len(await row_keys(database)) == 3
    assert await claim_and_upload_batch(services, JPEG, PNG, JPEG) == again
    for other in ([JPEG, JPEG, JPEG], [JPEG, PNG], [PNG]):
        with pytest.raises(IdempotencyKeyReused):
            await claim_and_upload_batch(services, *other)
    assert len(await row_keys(database)) == 3
    assert len(await stored_keys(storage)) == 4  # with that of the row that this test deleted


async def test_an_image_of_a_batch_that_was_deleted_is_reported_and_not_stored_again(
    services: Services, database: Database
) -> None:
    first, second = await claim_and_upload_batch(services, JPEG, PNG)
    assert isinstance(first, Image)
    await services.deletion.delete(first.id)
    failed, there = await claim_and_upload_batch(services, JPEG, PNG)
    assert isinstance(failed, FailedUpload)
    assert str(first.id) in str(failed.error)
    assert there == second


async def test_a_claim_ends_with_the_service_that_cannot_reach_the_database(
    proxy: DatabaseProxy, another: Services
) -> None:
    behind = Database(proxy.url)
    idempotency = Idempotency(behind)
    async with idempotency.keyed("somebody", "key", "file"):
        proxy.cut("DELETE", "before")
    assert proxy.cuts == 1
    with pytest.raises(UploadUnderWay):
        await claim_and_upload(another)
    await idempotency.close()
    await behind.close()


KEYS = """
    INSERT INTO idempotency_keys (sender, key, claim, claimed_until, status, created_at)
    SELECT 's', {key}, gen_random_uuid(), now() + interval '{claimed}', {status},
           now() - interval '{age}' FROM generate_series(1, {number}) AS n
"""


async def test_the_nightly_clean_up_forgets_requests_of_yesterday_unless_they_are_under_way(
    database: Database, storage: MemoryStorage, services: Services
) -> None:
    image = await claim_and_upload(services)
    kinds = [
        ("'old ' || n", "-1 day", 201, "25 hours", 2100),
        ("'lost ' || n", "-1 day", "NULL", "25 hours", 1),
        ("'slow'", "20 seconds", "NULL", "25 hours", 1),
        ("'young'", "-1 day", 201, "23 hours", 1),
    ]
    names = ("key", "claimed", "status", "age", "number")
    await execute(
        database,
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'",
        *(KEYS.format(**dict(zip(names, kind, strict=True))) for kind in kinds),
    )
    await CleanUp(database, storage).run()
    async with database.read() as session:
        left = await session.scalars(text("SELECT key FROM idempotency_keys ORDER BY key"))
        files_left = await session.scalar(text("SELECT count(*) FROM idempotency_files"))
    assert [*left] == ["slow", "young"]
    assert files_left == 0
    assert await row_keys(database) == [image.storage_key]


CLAIM = Claim("s", "7", uuid4())
PRIMARY = "pk_idempotency_keys"
Act = Callable[[WriteSession], Awaitable[object]]
PLANS: dict[str, tuple[Act, str]] = {
    "claim": (lambda session: insert_claim(session, CLAIM, LEASE), PRIMARY),
    "answer": (lambda session: find_answer(session, CLAIM), PRIMARY),
    "files": (lambda session: find_keyed_images(session, CLAIM), "pk_idempotency_files"),
    "lock": (lambda session: lock_claims(session, [CLAIM]), PRIMARY),
    "renew": (lambda session: renew_claims(session, [CLAIM], LEASE), PRIMARY),
    "release": (lambda session: release_claim(session, CLAIM), PRIMARY),
    "delete": (lambda session: delete_claim(session, CLAIM), PRIMARY),
    "forget": (forget_requests, "ix_idempotency_keys_created_at"),
}


async def test_every_statement_on_keys_is_answered_by_an_index(database: Database) -> None:
    await execute(
        database,
        KEYS.format(key="n", claimed="-1 day", status=201, age="1 hour", number=20_000),
        "INSERT INTO idempotency_files SELECT sender, key, 0, sha256(''), gen_random_uuid() "
        "FROM idempotency_keys",
        "ANALYZE idempotency_keys, idempotency_files",
    )
    for name, (act, index) in PLANS.items():
        plan = await explain(database, act)
        assert index in plan, (name, plan)
        assert "Seq Scan on idempotency" not in plan, (name, plan)
