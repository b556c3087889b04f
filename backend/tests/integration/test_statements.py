"""Each statement does what it says, and reads no more rows than it gives."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from operator import attrgetter
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.database.engine import Database, ReadSession, WriteSession
from app.domain.image import Image, NewImage, Position
from app.domain.job import SHARE, NewJob
from app.domain.search import Filters
from app.domain.thumbnails import thumbnail_key
from app.models import ImageRow
from app.statements import listing
from app.statements.attempts import prune_failed_jobs, take_up_lost_jobs
from app.statements.fsck import find_file, list_files
from app.statements.images import (
    delete_images,
    find_details,
    find_equal,
    find_images,
    insert_images,
    rename_image,
    republish_image,
)
from app.statements.jobs import (
    age_of_oldest_job,
    find_rows_to_invalidate,
    find_unfinished,
    insert_jobs,
    list_failed_jobs,
    take_invalidations,
)
from app.statements.keys import (
    count_valid_keys,
    find_known_keys,
    list_keys,
    prune_keys,
    record_use,
    revoke_key,
)
from app.statements.listing import count_images, list_images
from app.statements.moving import read_checksums
from app.statements.quota import count_usage
from app.statements.rendering import (
    Rendered,
    record_metadata,
    record_render_error,
    record_rendition,
)
from app.statements.search import renewed_search
from app.statements.sharing import find_earlier_equals, list_with_earlier_equals
from app.statements.users import find_owned, find_user, list_users
from testkit.databases import explain, until_a_statement_waits_for_a_lock
from testkit.uploads import add, execute, row, row_keys

START = datetime(2026, 1, 1, tzinfo=UTC)
OF_A_DAY = Filters(since=START, before=START + timedelta(days=1))
OF_A_TYPE = Filters(content_type="image/png")
OF_EQUAL_BYTES = Filters(checksum=bytes(32))
OWNER = UUID("7f1c8e9a-4b5d-4c3e-9f2a-6d8b0e1c2a34")
KEYS = "uq_images_storage_key"
EITHER = f"pk_images or {KEYS}"
"""Of a statement that names the id and the key: each names one row, so each costs the same."""
NEWEST = "ix_images_created_at_id"
CHECKSUMS = "ix_images_checksum_created_at_id"
TYPES = "ix_images_content_type_created_at_id"
JOBS = "uq_procrastinate_jobs_queueing_lock"
JOBS_TAKEN = "ix_procrastinate_jobs_taken"
JOBS_SET_ASIDE = "ix_procrastinate_jobs_failed"
RENDERED = Rendered(640, 480, b"placeholder", START, [150, 300, 800], {"iso": 100})

TWENTY_THOUSAND_JOBS = text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock) "
    "SELECT 'render', 'render', 'render:' || n FROM generate_series(1, 20000) AS n"
)
TEN_THOUSAND_USERS = text(
    "WITH added AS (INSERT INTO users (id, email) SELECT gen_random_uuid(), n || '@x.org' "
    "FROM generate_series(1, 10000) AS n RETURNING id, split_part(email, '@', 1) AS n) "
    "INSERT INTO api_keys (id, user_id, prefix, digest, scopes) SELECT gen_random_uuid(), id, "
    "'ih_' || lpad(n, 8, '0'), sha256(''::bytea), '{read}' FROM added"
)
TWENTY_THOUSAND = text(
    "INSERT INTO images (id, filename, storage_key, content_type, file_size, upload_ip, "
    "created_at, checksum) SELECT gen_random_uuid(), 'a.jpg', n || '.jpg', "
    "CASE n % 10 WHEN 0 THEN 'image/png' ELSE 'image/jpeg' END, "
    "1, '192.0.2.0'::inet + n % 200, now() - n * interval '1 minute', sha256(n::text::bytea) "
    "FROM generate_series(1, 20000) AS n"
)


def new(filename: str = "photo.jpg", address: str | None = None) -> NewImage:
    image_id = uuid4()
    return NewImage(
        id=image_id,
        filename=filename,
        storage_key=f"{image_id.hex}.jpg",
        content_type="image/jpeg",
        file_size=3_000_000_000,
        upload_ip=ip_address(address) if address else None,
        width=640,
        height=None,
        checksum=bytes(range(32)),
        truncated=False,
    )


async def test_rows_come_back_as_they_were_added(database: Database) -> None:
    images = [new("Zürich 😀.jpg", "2001:db8::1"), new("b.jpg", "192.0.2.1"), new("c.jpg")]
    async with database.write() as session:
        added = await insert_images(session, images)
    async with database.read() as session:
        found = await find_images(session, [image.id for image in images])
        rows = await session.execute(select(ImageRow.id, ImageRow.upload_ip))
        addresses = {image_id: address for image_id, address in rows}  # noqa: C416 - a row is no pair
    for image in images:
        for name, value in image._asdict().items():
            if name != "upload_ip":
                assert getattr(found[image.id], name) == value, name
                assert getattr(added[image.id], name) == value, name
        assert addresses[image.id] == image.upload_ip
        created_at = found[image.id].created_at
        assert added[image.id].created_at == created_at
        assert abs(created_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert created_at.utcoffset() == timedelta(0)


async def test_an_unknown_id_finds_nothing_and_hides_no_other(database: Database) -> None:
    known = row()
    await add(database, known)
    async with database.read() as session:
        assert [*await find_images(session, [UUID(int=0), known.id])] == [known.id]
        assert await find_images(session, [UUID(int=0)]) == {}


async def test_a_delete_returns_the_keys_of_the_files_once(database: Database) -> None:
    bare, rendered, other = (
        row(),
        *(row(rendered_at=START, thumbnail_sizes=[150, 800]) for _ in "12"),
    )
    kept = row()
    await add(database, bare, rendered, other, kept)
    keys = {
        image.id: [
            image.storage_key,
            *(thumbnail_key(image.storage_key, size, START) for size in (150, 800)),
        ]
        for image in (rendered, other)
    }
    wanted = [other.id, UUID(int=0), bare.id, rendered.id, other.id]
    async with database.write() as session:
        expected = {bare.id: [bare.storage_key]} | keys
        assert await delete_images(session, wanted) == expected
    async with database.write() as session:
        assert await delete_images(session, wanted) == {}
    assert await row_keys(database) == [kept.storage_key]


async def test_rows_are_locked_in_the_order_of_their_ids_and_then_deleted(
    database: Database,
) -> None:
    """So no two deletes of the same rows deadlock, in whichever order these are stored."""
    first, second = sorted((row(), row()), key=attrgetter("id"))
    await add(database, second)
    await add(database, first)
    lock = text("SELECT FROM images WHERE id = :id FOR UPDATE NOWAIT")

    async def delete() -> None:
        async with database.write() as session:
            await delete_images(session, [second.id, first.id])

    async with database.write() as session:
        await session.execute(lock, {"id": first.id})
        deletion = asyncio.create_task(delete())
        await until_a_statement_waits_for_a_lock(database)
        await session.execute(lock, {"id": second.id})
    await deletion
    assert await row_keys(database) == []


async def test_a_new_name_and_its_time_are_all_that_a_renaming_changes(database: Database) -> None:
    image, other = row(created_at=START, rendered_at=START, thumbnail_sizes=[150]), row()
    await add(database, image, other)
    async with database.read() as session:
        before = await find_images(session, [image.id, other.id])
    async with database.write() as session:
        renamed = await rename_image(session, image.id, "Zürich 😀.jpg")
        assert await rename_image(session, UUID(int=0), "b.jpg") is None
    assert renamed
    assert renamed.updated_at
    assert abs(renamed.updated_at - datetime.now(UTC)) < timedelta(minutes=1)
    expected = before[image.id]._replace(filename="Zürich 😀.jpg", updated_at=renamed.updated_at)
    assert renamed == expected
    async with database.read() as session:
        after = await find_images(session, [image.id, other.id])
    assert after == {image.id: expected, other.id: before[other.id]}


async def test_pages_hold_all_rows_newest_first_also_where_times_are_equal(
    database: Database,
) -> None:
    rows = [row(START + timedelta(seconds=number // 3)) for number in range(20)]
    await add(database, *rows)
    expected = sorted(((r.created_at, r.id) for r in rows), reverse=True)
    seen: list[tuple[datetime, UUID]] = []
    after: Position | None = None
    while True:
        async with database.read() as session:
            page = await list_images(session, 3, after)
        seen += [(image.created_at, image.id) for image in page]
        if len(page) < 3:
            break
        after = Position(page[-1].created_at, page[-1].id)
    assert seen == expected


async def test_a_row_added_while_paging_neither_repeats_nor_hides_another(
    database: Database,
) -> None:
    await add(database, *[row(START + timedelta(seconds=number)) for number in range(4)])
    async with database.read() as session:
        first = await list_images(session, 2, None)
    await add(database, row(START + timedelta(days=1)))
    async with database.read() as session:
        second = await list_images(session, 9, Position(first[-1].created_at, first[-1].id))
    assert len({image.id for image in (*first, *second)}) == 4


def named(known: Position) -> Image:
    """Return an image of which only the id, the key and what follows from it matter."""
    key = f"{known.id.hex}.jpg"
    facts = (None, None, None, None, known.created_at, None, None, None, None, None)
    return Image(known.id, "a.jpg", key, "image/jpeg", 1, *facts)


async def count_a_quota(session: WriteSession, _known: Position) -> object:
    return await count_usage(session, [ip_address("192.0.2.7")])


Query = Callable[[Any, Position], Awaitable[object]]

OF_IMAGES: dict[str, tuple[Query, str]] = {
    "find": (lambda session, known: find_images(session, [known.id]), "pk_images"),
    "find many": (lambda session, known: find_images(session, [known.id] * 200), "pk_images"),
    "find details": (lambda session, known: find_details(session, [known.id]), "pk_images"),
    "republish": (
        lambda session, known: republish_image(session, named(known), "new", is_public=False),
        EITHER,
    ),
    "rename": (lambda session, known: rename_image(session, known.id, "a"), "pk_images"),
    "find by key": (lambda session, known: find_file(session, f"{known.id.hex}.jpg"), KEYS),
    "list by key": (lambda session, _known: list_files(session, "5", 500), KEYS),
    "checksums by key": (
        lambda session, known: read_checksums(session, [f"{known.id.hex}.jpg"] * 256),
        KEYS,
    ),
    "record a rendition": (
        lambda session, known: record_rendition(session, named(known), RENDERED),
        EITHER,
    ),
    "record an error": (
        lambda session, known: record_render_error(session, known.id, "why", {}),
        "pk_images",
    ),
    "record metadata": (lambda session, known: record_metadata(session, known.id, {}), "pk_images"),
    "first page": (lambda session, _known: list_images(session, 21, None), NEWEST),
    "later page": (lambda session, known: list_images(session, 21, known), NEWEST),
    "later page of a day": (
        lambda session, known: list_images(session, 21, known, OF_A_DAY),
        NEWEST,
    ),
    "later page of a type": (
        lambda session, known: list_images(session, 21, known, OF_A_TYPE),
        TYPES,
    ),
    "later page of an owner": (
        lambda session, known: list_images(session, 21, known, Filters(owner_id=OWNER)),
        "ix_images_owner_id_created_at_id",
    ),
    "images of an owner": (
        lambda session, _known: find_owned(session, OWNER, 8),
        "ix_images_owner_id_created_at_id",
    ),
    "count": (lambda session, _known: count_images(session, 101), NEWEST),
    "later page of equal bytes": (
        lambda session, known: list_images(session, 21, known, OF_EQUAL_BYTES),
        CHECKSUMS,
    ),
    "insert what may have an equal": (
        lambda session, _known: insert_images(session, [new()], frozenset({SHARE})),
        CHECKSUMS,
    ),
    "find an equal image": (
        lambda session, _known: find_equal(session, bytes(32), None, is_public=True),
        CHECKSUMS,
    ),
    "find earlier equals": (
        lambda session, known: find_earlier_equals(session, known.id),
        CHECKSUMS,
    ),
    "list those with earlier equals": (
        lambda session, _known: list_with_earlier_equals(session, "5", 500),
        KEYS,
    ),
    "count of equal bytes": (
        lambda session, _known: count_images(session, 101, OF_EQUAL_BYTES),
        CHECKSUMS,
    ),
    "count of a type": (lambda session, _known: count_images(session, 101, OF_A_TYPE), TYPES),
    "count a quota": (count_a_quota, "ix_images_upload_ip_created_at"),
    "renew the terms": (lambda session, known: renewed_search(session, known.id), "pk_images"),
}
"""What each statement does, and the index that answers it."""


@pytest.mark.parametrize(("query", "index"), OF_IMAGES.values(), ids=OF_IMAGES)
async def test_every_query_is_answered_by_its_index(
    database: Database, query: Query, index: str
) -> None:
    async with database.write() as session:
        await session.execute(TWENTY_THOUSAND)
        await session.execute(text("ANALYZE images"))
        middle = text("SELECT created_at, id FROM images ORDER BY created_at OFFSET 9000 LIMIT 1")
        known = Position(*(await session.execute(middle)).one())
    plan = await explain(database, lambda session: query(session, known))
    assert any(name in plan for name in index.split(" or "))
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


OF_USERS: dict[str, tuple[Callable[[Any], Awaitable[object]], str]] = {
    "find a key": (lambda session: find_known_keys(session, ["ih_00007000"]), "uq_api_keys_prefix"),
    "list keys": (lambda session: list_keys(session, OWNER), "ix_api_keys_user_id"),
    "count keys": (lambda session: count_valid_keys(session, OWNER), "ix_api_keys_user_id"),
    "prune keys": (lambda session: prune_keys(session, OWNER, 100), "ix_api_keys_user_id"),
    "revoke a key": (
        lambda session: revoke_key(session, "ih_00007000", None),
        "uq_api_keys_prefix",
    ),
    "record uses": (lambda session: record_use(session, [OWNER], timedelta()), "pk_api_keys"),
    "find a user": (lambda session: find_user(session, "7@x.org"), "uq_users_email"),
    "list users": (lambda session: list_users(session, 21, "7@x.org"), "uq_users_email"),
}
"""What each statement does, and the index that answers it."""


@pytest.mark.parametrize(("query", "index"), OF_USERS.values(), ids=OF_USERS)
async def test_no_statement_reads_other_users_or_their_keys(
    database: Database, query: Callable[[Any], Awaitable[object]], index: str
) -> None:
    async with database.write() as session:
        await session.execute(TEN_THOUSAND_USERS)
        await session.execute(text("ANALYZE users, api_keys"))
    plan = await explain(database, query)
    assert index in plan
    assert "Seq Scan" not in plan


Change = Callable[[Any], Awaitable[object]]

OF_JOBS: dict[str, tuple[Change, str]] = {
    "insert": (lambda session: insert_jobs(session, [NewJob("render", "7")]), JOBS),
    "find unfinished": (lambda session: find_unfinished(session, "render", ["7"]), JOBS),
    "age of the oldest": (age_of_oldest_job, "procrastinate_jobs_pkey"),
    "list those set aside": (lambda session: list_failed_jobs(session, 0, 20), JOBS_SET_ASIDE),
    "prune": (prune_failed_jobs, JOBS_SET_ASIDE),
    "fetch": (
        lambda session: session.execute(text("SELECT procrastinate_fetch_job_v2(NULL, NULL)")),
        "procrastinate_jobs_priority_idx_v1",
    ),
    "take up those lost": (take_up_lost_jobs, JOBS_TAKEN),
    "forget a worker": (
        lambda session: session.execute(text("DELETE FROM procrastinate_workers")),
        JOBS_TAKEN,
    ),
    "take what is to be invalidated": (
        lambda session: take_invalidations(session, 500),
        "ix_procrastinate_jobs_invalidate",
    ),
    "find what is to be invalidated": (
        lambda session: find_rows_to_invalidate(session, 1001),
        "ix_procrastinate_jobs_invalidate",
    ),
}
"""What each statement does, and the index that answers it."""


@pytest.mark.parametrize(("change", "index"), OF_JOBS.values(), ids=OF_JOBS)
async def test_no_statement_reads_the_jobs_that_are_queued_for_others(
    database: Database, change: Change, index: str
) -> None:
    """Those of functions and of foreign keys too, which EXPLAIN does not show."""
    async with database.write() as session:
        await session.execute(TWENTY_THOUSAND_JOBS)
        await session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        await session.execute(text("ANALYZE procrastinate_jobs"))
    async with database.write() as session:
        await change(session)
        scans = "SELECT {}".format(
            ", ".join(
                f"pg_stat_get_xact_numscans('{name}'::regclass)"
                for name in ("procrastinate_jobs", index)
            )
        )
        of_the_table, of_the_index = (await session.execute(text(scans))).one()
    assert of_the_table == 0
    assert of_the_index > 0


async def test_every_index_answers_a_statement(database: Database) -> None:
    query = text(
        "SELECT indexname FROM pg_indexes WHERE tablename ~ '^(images|procrastinate_jobs)$'"
    )
    async with database.read() as session:
        indexes = {*await session.scalars(query)}
    searching = "ix_images_search"  # below
    answering = {index for _, index in (*OF_IMAGES.values(), *OF_JOBS.values())} - {EITHER}
    assert indexes == {searching, *answering}


async def test_several_rows_are_deleted_by_the_index_of_their_ids(database: Database) -> None:
    async with database.write() as session:
        await session.execute(TWENTY_THOUSAND)
        await session.execute(text("ANALYZE images"))
        ids = list(await session.scalars(text("SELECT id FROM images ORDER BY random() LIMIT 10")))
    plan = await explain(database, lambda session: delete_images(session, ids))
    assert "Seq Scan" not in plan
    assert plan.count("pk_images") == 2


async def test_equal_times_are_ordered_by_id_whatever_the_plan(database: Database) -> None:
    rows = [row(START) for _ in range(30)]
    await add(database, *rows)
    async with database.read() as session:
        for way in ("indexscan", "bitmapscan"):
            await session.execute(text(f"SET enable_{way} = off"))
        seen = await list_images(session, 30, None)
    assert [image.id for image in seen] == sorted((image.id for image in rows), reverse=True)


async def test_a_search_walks_over_the_newest_rows_and_then_asks_the_index_of_the_terms(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever PostgreSQL guesses: it takes any term for one that a fiftieth of all rows has."""
    monkeypatch.setattr(listing, "NEWEST_ROWS", 100)
    await execute(
        database,
        "INSERT INTO images (id, filename, storage_key, content_type, file_size, created_at, "
        "search) SELECT gen_random_uuid(), repeat('a', 250), n || '.jpg', 'image/jpeg', 1, "
        "now() - n * interval '1 minute', array_to_tsvector(ARRAY['jpg', md5(n::text)]) "
        "FROM generate_series(1, 20000) AS n",
        "ANALYZE images",
    )

    async def plan(act: Callable[[Any, Filters], Awaitable[object]], term: str) -> str:
        return await explain(database, lambda session: act(session, Filters((term,))))

    async def first_page(session: ReadSession, filters: Filters) -> object:
        return await list_images(session, 21, None, filters)

    async def count(session: ReadSession, filters: Filters) -> object:
        return await count_images(session, 101, filters)

    frequent, absent = await plan(first_page, "jpg"), await plan(first_page, "zzz")
    assert "ix_images_created_at_id" in frequent
    assert "Sort" not in frequent
    assert "ix_images_search" in absent
    assert "ix_images_search" in await plan(count, "jpg")


async def test_terms_find_rows_older_and_newer_than_those_walked_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "NEWEST_ROWS", 3)
    rows = [
        row(START + timedelta(seconds=number), filename=str(number), search=f"'{number % 2}'")
        for number in range(12)
    ]
    await add(database, *rows)
    seen: list[str] = []
    after: Position | None = None
    while True:
        async with database.read() as session:
            page = await list_images(session, 2, after, Filters(("1",)))
        seen += [image.filename for image in page]
        if len(page) < 2:
            break
        after = Position(page[-1].created_at, page[-1].id)
    assert seen == ["11", "9", "7", "5", "3", "1"]


async def test_terms_are_renewed_from_the_new_name_and_the_metadata_that_the_row_has(
    database: Database,
) -> None:
    named = row(filename="a.jpg", extracted={"camera_make": "Acme", "lens": ["odd"]})
    bare = row(filename="b.jpg")
    await add(database, named, bare)
    async with database.write() as session:
        assert await renewed_search(session, named.id, filename="c") == "'c' 'acme'"
        assert await renewed_search(session, named.id, metadata={"lens": "z"}) == "'a' 'jpg' 'acme'"
        assert await renewed_search(session, bare.id, metadata={"lens": "z"}) == "'b' 'jpg' 'z'"
        assert await renewed_search(session, UUID(int=0)) is None


async def test_a_renaming_and_what_is_recorded_meanwhile_both_find_the_image(
    database: Database,
) -> None:
    image = row(filename="old.jpg")
    await add(database, image)

    async def record() -> None:
        async with database.write() as session:
            await record_metadata(session, image.id, {"camera_make": "Acme"})

    async with database.write() as session:
        await rename_image(session, image.id, "new.jpg")
        recording = asyncio.create_task(record())
        await until_a_statement_waits_for_a_lock(database)
    await recording
    async with database.read() as reading:
        assert await list_images(reading, 9, None, Filters(("new", "acme")))
        assert not await list_images(reading, 9, None, Filters(("old",)))


@pytest.mark.parametrize("record", [record_rendition, record_metadata, record_render_error])
async def test_what_is_recorded_of_an_image_finds_it(
    database: Database, record: Callable[..., Awaitable[object]]
) -> None:
    """Of an image of an earlier version too, which nothing has found before."""
    image = row(filename="a.jpg")
    await add(database, image)
    found = {"camera_make": "Acme"}
    arguments = {
        record_rendition: (
            named(Position(START, image.id)),
            RENDERED._replace(metadata={**found}),
        ),
        record_metadata: (image.id, found),
        record_render_error: (image.id, "why", found),
    }
    async with database.write() as session:
        await record(session, *arguments[record])
    async with database.read() as session:
        assert [image.id] == [
            found.id for found in await list_images(session, 9, None, Filters(("acme", "jpg")))
        ]
