"""Each statement does what it says, and reads no more rows than it gives."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from app.database.engine import Database, WriteSession
from app.domain.image import NewImage, Position
from app.domain.thumbnails import thumbnail_key
from app.models import ImageRow
from app.statements.fsck import find_file, list_files
from app.statements.images import (
    delete_image,
    delete_image_by_key,
    find_details,
    find_images,
    insert_images,
)
from app.statements.listing import list_images
from app.statements.rendering import (
    Rendered,
    record_metadata,
    record_render_error,
    record_rendition,
)
from testkit.databases import explain
from testkit.uploads import add, row

START = datetime(2026, 1, 1, tzinfo=UTC)
RENDERED = Rendered(640, 480, b"placeholder", START, [150, 300, 800], {"iso": 100})


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
    bare, rendered = row(), row(rendered_at=START, thumbnail_sizes=[150, 800])
    await add(database, bare, rendered)
    thumbnails = [thumbnail_key(rendered.storage_key, size, START) for size in (150, 800)]
    async with database.write() as session:
        assert await delete_image(session, bare.id) == [bare.storage_key]
        keys = [rendered.storage_key, *thumbnails]
        assert await delete_image_by_key(session, rendered.storage_key) == keys
    async with database.write() as session:
        assert await delete_image(session, bare.id) == []
        assert await delete_image_by_key(session, rendered.storage_key) == []


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


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (lambda session, known: find_images(session, [known.id]), "pk_images"),
        (lambda session, known: find_images(session, [known.id] * 200), "pk_images"),
        (lambda session, known: find_details(session, [known.id]), "pk_images"),
        (lambda session, known: delete_image(session, known.id), "pk_images"),
        (lambda session, known: find_file(session, f"{known.id.hex}.jpg"), "uq_images_storage_key"),
        (lambda session, _known: list_files(session, "5", 500), "uq_images_storage_key"),
        (
            lambda session, known: delete_image_by_key(session, known.id.hex),
            "uq_images_storage_key",
        ),
        (lambda session, known: record_rendition(session, known.id, RENDERED, None), "pk_images"),
        (lambda session, known: record_render_error(session, known.id, "why", {}), "pk_images"),
        (lambda session, known: record_metadata(session, known.id, {}), "pk_images"),
        (lambda session, _known: list_images(session, 21, None), "ix_images_created_at_id"),
        (lambda session, known: list_images(session, 21, known), "ix_images_created_at_id"),
    ],
    ids=[
        "find",
        "find many",
        "find details",
        "delete",
        "find by key",
        "list by key",
        "delete by key",
        "record a rendition",
        "record an error",
        "record metadata",
        "first page",
        "later page",
    ],
)
async def test_every_query_is_answered_by_its_index(
    database: Database,
    query: Callable[[WriteSession, Position], Awaitable[object]],
    index: str,
) -> None:
    async with database.write() as session:
        await session.execute(
            text(
                "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', n || '.jpg', 'image/jpeg', "
                "1, '192.0.2.0'::inet + n % 200, now() - n * interval '1 minute' "
                "FROM generate_series(1, 20000) AS n"
            )
        )
        await session.execute(text("ANALYZE images"))
        middle = text("SELECT created_at, id FROM images ORDER BY created_at OFFSET 9000 LIMIT 1")
        known = Position(*(await session.execute(middle)).one())
    plan = await explain(database, lambda session: query(session, known))
    assert index in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan


async def test_equal_times_are_ordered_by_id_whatever_the_plan(database: Database) -> None:
    rows = [row(START) for _ in range(30)]
    await add(database, *rows)
    async with database.read() as session:
        for way in ("indexscan", "bitmapscan"):
            await session.execute(text(f"SET enable_{way} = off"))
        seen = await list_images(session, 30, None)
    assert [image.id for image in seen] == sorted((image.id for image in rows), reverse=True)
