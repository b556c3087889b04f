"""Images of earlier versions are found once their terms are made, beside a running service."""

import asyncio

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.search import Filters
from app.services import backfill_search
from app.services.backfill_search import SearchBackfill
from app.statements.images import rename_image
from app.statements.listing import list_images
from app.statements.search import make_terms
from testkit.databases import explain, until_a_statement_waits_for_a_lock
from testkit.uploads import add, execute, row


async def names(database: Database, *terms: str) -> list[str]:
    async with database.read() as session:
        return [image.filename for image in await list_images(session, 99, None, Filters(terms))]


async def backfill(database: Database) -> list[int]:
    made: list[int] = []
    await SearchBackfill(database).run(made.append)
    return made


async def test_every_image_without_terms_gets_those_of_its_name_and_metadata_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_search, "ROWS_AT_ONCE", 2)
    camera = {"camera_make": "Acme", "lens": ["odd"]}
    await add(database, *(row(filename=f"Köln {n}.jpg", extracted=camera) for n in range(4)))
    await add(database, row(filename="found.jpg", search="'found'"))
    assert await names(database, "koln") == []
    assert await SearchBackfill(database).count() == 4
    made = await backfill(database)
    assert sum(made) == 4
    assert max(made) <= 2
    assert len(await names(database, "koln", "acme")) == 4
    assert await names(database, "found") == ["found.jpg"]
    assert sum(await backfill(database)) == await SearchBackfill(database).count() == 0


async def test_odd_metadata_of_a_row_is_no_obstacle(database: Database) -> None:
    await add(database, row(filename="a.jpg"), row(filename="b.jpg"))
    await execute(database, "UPDATE images SET metadata = '[5]' WHERE filename = 'b.jpg'")
    assert sum(await backfill(database)) == 2
    assert await names(database, "b") == ["b.jpg"]


async def test_an_image_that_is_renamed_meanwhile_is_found_by_its_new_name(
    database: Database,
) -> None:
    image = row(filename="old.jpg")
    await add(database, image)
    async with database.write() as session:
        await rename_image(session, image.id, "new.jpg")
        running = asyncio.create_task(backfill(database))
        await until_a_statement_waits_for_a_lock(database)
    assert sum(await running) == 0
    assert await names(database, "new") == ["new.jpg"]
    assert await names(database, "old") == []


async def test_rows_are_read_in_the_order_of_an_index(database: Database) -> None:
    await execute(
        database,
        "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', md5(n::text) || '.jpg', "
        "'image/jpeg', 1 FROM generate_series(1, 20000) AS n",
        "UPDATE images SET search = ''",
        "ANALYZE images",
    )
    plan = await explain(database, lambda session: make_terms(session, "5", 500))
    assert "uq_images_storage_key" in plan
    assert "Sort" not in plan
    async with database.write() as session:
        await session.execute(text("UPDATE images SET search = NULL"))
    plan = await explain(database, lambda session: make_terms(session, "5", 50))
    assert "pk_images" in plan
