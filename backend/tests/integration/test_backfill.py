"""Rows of earlier versions are completed from their files, once, beside a running service."""

import asyncio
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.image import Image, IncompleteRow
from app.domain.limits import UploadLimits
from app.models import IMAGES, ImageRow
from app.services import backfill as backfill_module
from app.services.backfill import Backfill, Outcome
from app.services.use_cases import Services
from app.statements.backfill import FoundFacts, complete_rows, count_incomplete, list_incomplete
from app.statements.images import find_images
from app.storage.base import ObjectReader
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.databases import explain
from testkit.format_samples import all_samples
from testkit.storages import OpenStorage
from testkit.uploads import file

JPEG = samples.jpeg()
TURNED = samples.of_every_kind()["orientation-6.jpg"][0]
PNG = samples.png(30, 20)
NO_HEADER = b"\xff\xd8\xff\xe0 and nothing more"
FORGET = "UPDATE images SET width = NULL, height = NULL, checksum = NULL, truncated = NULL"
LIMITS = UploadLimits(max_upload_bytes=5_000_000, batch_max_files=20, uploads_per_hour_per_ip=0)


class Store:
    """Images that were uploaded before their headers were read."""

    def __init__(self, root: Path, storage: LocalStorage, database: Database) -> None:
        self.root = root
        self.storage = storage
        self.database = database
        self.services = Services(database, self.storage, LIMITS)

    async def upload(self, *contents: bytes) -> list[Image]:
        images = [await self.services.uploads.upload(file(content), None) for content in contents]
        await self.execute(FORGET)
        return images

    async def execute(self, statement: str) -> None:
        async with self.database.write() as session:
            await session.execute(text(statement))

    def path(self, image: Image) -> Path:
        return self.root / image.storage_key[:2] / image.storage_key

    async def sizes(self, images: list[Image]) -> list[tuple[int | None, int | None]]:
        async with self.database.read() as session:
            rows = {image.id: image for image in await session.scalars(select(ImageRow))}
        return [(rows[image.id].width, rows[image.id].height) for image in images]

    async def count(self) -> int:
        async with self.database.read() as session:
            return (await session.scalars(select(func.count()).select_from(ImageRow))).one()

    async def row(self) -> dict[str, object]:
        async with self.database.read() as session:
            return dict((await session.execute(select(IMAGES))).mappings().one())

    async def checked(self, images: list[Image]) -> list[tuple[bytes | None, bool | None]]:
        async with self.database.read() as session:
            rows = {image.id: image for image in await session.scalars(select(ImageRow))}
        return [(rows[image.id].checksum, rows[image.id].truncated) for image in images]


@pytest.fixture
async def store(tmp_path: Path, open_storage: OpenStorage, database: Database) -> Store:
    root = tmp_path / "images"
    store = Store(root, open_storage(root), database)
    await store.storage.prepare()
    return store


async def run(store: Store, backfill: Backfill | None = None) -> Counter[Outcome]:
    outcomes = Counter[Outcome]()
    backfill = backfill or Backfill(store.database, store.storage)
    await backfill.run(lambda _row, outcome: outcomes.update([outcome]))
    return outcomes


@pytest.mark.parametrize("at_once", [1, 2, 500])
async def test_every_row_is_completed_from_its_file_once(
    store: Store, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "BATCH_ROWS", at_once)
    images = await store.upload(JPEG, TURNED, PNG, JPEG, PNG)
    assert await Backfill(store.database, store.storage).count() == 5
    assert await run(store) == {Outcome.FILLED_IN: 5}
    assert await store.sizes(images) == [(64, 48), (48, 64), (30, 20), (64, 48), (30, 20)]
    assert await run(store) == {}
    assert await Backfill(store.database, store.storage).count() == 0


@pytest.mark.parametrize("forgotten", [FORGET, "UPDATE images SET width = NULL, height = NULL"])
async def test_rows_of_every_type_are_completed(store: Store, forgotten: str) -> None:
    """Also where only dimensions are missing, for which a file is read as far as needed."""
    plain = [one for one in all_samples().values() if one.trait in {"plain", "truncated"}]
    images = await store.upload(*(one.content for one in plain))
    await run(store)
    await store.execute(forgotten)
    assert await run(store) == {Outcome.FILLED_IN: len(plain)}
    assert await store.sizes(images) == [one.size for one in plain]
    assert await store.checked(images) == [
        (sha256(one.content).digest(), one.trait == "truncated") for one in plain
    ]


async def test_nothing_else_of_a_row_is_changed(store: Store) -> None:
    await store.upload(TURNED)
    before = await store.row()
    await run(store)
    after = await store.row()
    for name in before.keys() - {"width", "height", "checksum", "truncated"}:
        assert before[name] == after[name]


async def test_a_header_that_lies_deep_in_a_large_file_is_found(store: Store) -> None:
    images = await store.upload(samples.of_every_kind()["print-profile.jpg"][0])
    assert await run(store) == {Outcome.FILLED_IN: 1}
    assert await store.sizes(images) == [(64, 48)]


async def test_what_is_not_whole_is_counted_and_passed_over(store: Store) -> None:
    missing, unreadable, cut, fine = await store.upload(JPEG, NO_HEADER, JPEG, PNG)
    store.path(missing).unlink()
    store.path(cut).write_bytes(JPEG[:100])
    expected = {Outcome.NO_SIZE: 1, Outcome.FILE_MISSING: 1, Outcome.WRONG_SIZE: 1}
    assert await run(store) == {Outcome.FILLED_IN: 1, **expected}
    assert await run(store) == expected
    assert await store.sizes([missing, unreadable, cut, fine]) == [(None, None)] * 3 + [(30, 20)]
    assert await store.checked([missing, cut]) == [(None, None)] * 2


async def test_every_row_gets_its_checksum_and_whether_it_is_truncated(store: Store) -> None:
    large = samples.png(700, 700)
    contents = [JPEG, JPEG[:-1], large + bytes(200_000), large[:-1], NO_HEADER]
    images = await store.upload(*contents)
    await run(store)
    assert await store.checked(images) == [
        (sha256(content).digest(), content in {JPEG[:-1], large[:-1], NO_HEADER})
        for content in contents
    ]


async def test_a_row_that_was_measured_by_an_earlier_version_gets_the_rest(store: Store) -> None:
    images = await store.upload(JPEG)
    await store.execute("UPDATE images SET width = 1, height = 2")
    assert await run(store) == {Outcome.FILLED_IN: 1}
    assert await store.sizes(images) == [(1, 2)]
    assert await store.checked(images) == [(sha256(JPEG).digest(), False)]


async def test_of_a_row_that_lacks_its_size_alone_only_the_header_is_read(store: Store) -> None:
    class Counting(LocalStorage):
        blocks = 0

        async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
            reader = await super().open(key, start, length)
            read = reader.read

            async def counted() -> bytes | bytearray:
                Counting.blocks += 1
                return await read()

            vars(reader)["read"] = counted
            return reader

    content = samples.sized_jpeg(1_000_000)
    images = await store.upload(content)
    await run(store)
    before = await store.checked(images)
    await store.execute("UPDATE images SET width = NULL, height = NULL")
    backfill = Backfill(store.database, Counting(store.root))
    assert await run(store, backfill) == {Outcome.FILLED_IN: 1}
    assert Counting.blocks == 1
    assert await store.sizes(images) == [(64, 48)]
    assert await store.checked(images) == before


async def test_a_file_that_cannot_be_opened_does_not_hold_up_the_others(store: Store) -> None:
    broken, fine = await store.upload(JPEG, PNG)
    store.path(broken).unlink()
    store.path(broken).mkdir()
    assert await run(store) == {Outcome.UNREADABLE: 1, Outcome.FILLED_IN: 1}
    assert await store.sizes([fine]) == [(30, 20)]


async def test_an_unavailable_storage_ends_the_run_and_the_next_continues(
    store: Store, tmp_path: Path
) -> None:
    images = await store.upload(JPEG, PNG)
    store.root.rename(tmp_path / "aside")
    with pytest.raises(StorageUnavailable):
        await run(store)
    (tmp_path / "aside").rename(store.root)
    assert await run(store) == {Outcome.FILLED_IN: 2}
    assert await store.sizes(images) == [(64, 48), (30, 20)]


async def test_a_run_that_is_stopped_is_taken_up_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "BATCH_ROWS", 2)
    images = await store.upload(*[JPEG] * 7)
    seen = 0

    def stop_at_the_fourth(_row: IncompleteRow, _outcome: Outcome) -> None:
        nonlocal seen
        seen += 1
        if seen == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Backfill(store.database, store.storage).run(stop_at_the_fourth)
    assert (await store.sizes(images)).count((64, 48)) == 4
    assert await run(store) == {Outcome.FILLED_IN: 3}
    assert set(await store.sizes(images)) == {(64, 48)}


async def test_images_that_are_deleted_during_the_run_stay_deleted(store: Store) -> None:
    """One before its file is opened, one after it was measured."""
    images = sorted(await store.upload(*[JPEG] * 4), key=lambda image: image.storage_key)
    services = store.services

    class Deleting(LocalStorage):
        async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
            if key == images[1].storage_key:
                await services.deletion.delete(images[0].id)
                await services.deletion.delete(images[1].id)
            return await super().open(key, start, length)

    backfill = Backfill(store.database, Deleting(store.root))
    assert await run(store, backfill) == {Outcome.FILLED_IN: 3, Outcome.DELETED: 1}
    assert await store.count() == 2
    assert await store.sizes(images[2:]) == [(64, 48)] * 2


async def test_what_is_known_is_not_written_again(store: Store) -> None:
    (image,) = await store.upload(JPEG)
    for facts in ((1, 2, None, None), (3, 4, bytes(32), True), (5, 6, b"x" * 32, False)):
        async with store.database.write() as session:
            await complete_rows(session, [FoundFacts(image.id, *facts)])
    assert await store.sizes([image]) == [(1, 2)]
    assert await store.checked([image]) == [(bytes(32), True)]


async def test_runs_at_once_beside_uploads_and_deletes_measure_everything(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "BATCH_ROWS", 5)
    images = await store.upload(*[JPEG] * 30)

    async def use() -> None:
        for image in images[:10]:
            await store.services.deletion.delete(image.id)
            await store.services.uploads.upload(file(PNG), None)

    await asyncio.gather(run(store), run(store), use())
    assert set(await store.sizes(images[10:])) == {(64, 48)}
    assert await store.count() == 30
    async with store.database.read() as session:
        assert await count_incomplete(session) == 0


async def test_it_needs_no_more_of_a_storage_than_every_backend_has(database: Database) -> None:
    storage = MemoryStorage()
    image = await Services(database, storage, LIMITS).uploads.upload(file(TURNED), None)
    async with database.write() as session:
        await session.execute(text(FORGET))
    await Backfill(database, storage).run(lambda *_: None)
    async with database.read() as session:
        found = (await find_images(session, [image.id]))[image.id]
    assert (found.width, found.height) == (48, 64)


async def test_what_is_measured_already_is_passed_over_in_steps_of_bounded_length(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_module, "ROWS_READ_AT_ONCE", 3)
    images = sorted(await store.upload(*[JPEG] * 8), key=lambda image: image.storage_key)
    for image in images[:7]:
        change = "width = 1, height = 1, checksum = sha256('')"
        await store.execute(f"UPDATE images SET {change} WHERE id = '{image.id}'")  # noqa: S608
    async with store.database.read() as session:
        assert await list_incomplete(session, "", 3) == ([], images[2].storage_key)
    assert await run(store) == {Outcome.FILLED_IN: 1}
    assert await store.sizes(images[6:]) == [(1, 1), (64, 48)]


async def test_rows_are_read_in_the_order_of_an_index(store: Store) -> None:
    await store.execute(
        "INSERT INTO images SELECT gen_random_uuid(), 'a.jpg', md5(n::text) || '.jpg', "
        "'image/jpeg', 1, NULL, now() FROM generate_series(1, 20000) AS n"
    )
    await store.execute("ANALYZE images")
    plan = await explain(store.database, lambda session: list_incomplete(session, "8", 500))
    assert "uq_images_storage_key" in plan
    assert "Sort" not in plan
    assert "Filter" not in plan
