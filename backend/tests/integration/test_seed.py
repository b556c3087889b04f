"""Images that `make seed` makes are as the service's own."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.imaging.formats import detect
from app.imaging.inspection import Inspection
from app.services.backfill import Backfill
from app.services.fsck import ConsistencyCheck
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from bench import images, seed

COUNT = 300
MakeFiles = Callable[[Path, Iterator[images.Row], Random], Iterator[images.Row]]
DEFINITIONS = """
    SELECT indexdef FROM pg_indexes WHERE tablename = 'images'
    UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE conrelid = 'images'::regclass ORDER BY 1
"""


async def fill(
    url: URL, folder: Path, *, to_others: bool = False, make_files: MakeFiles = images.link_files
) -> None:
    chance = Random()  # noqa: S311 - for variety
    drawn = images.rows(COUNT, images.typical_specs(chance), chance)
    complete = make_files(folder, drawn, chance)
    await seed.fill(url, folder, COUNT, complete, to_others=to_others)


async def test_rows_and_files_agree(database_url: URL, database: Database, tmp_path: Path) -> None:
    await fill(database_url, tmp_path / "images")
    storage = LocalStorage(tmp_path / "images")
    check = ConsistencyCheck(database, storage, timedelta(0), checksums=True)
    assert (await check.totals()).images == COUNT
    assert [finding async for finding in check.find(lambda _row: None)] == []


async def test_files_are_published_where_none_can_be_shared(
    database_url: URL, database: Database
) -> None:
    chance = Random()  # noqa: S311 - for variety
    drawn = images.rows(COUNT, images.typical_specs(chance)[:3], chance)
    storage = MemoryStorage()
    await seed.fill_storage(database_url, storage, COUNT, drawn, images.Publisher(storage, chance))
    check = ConsistencyCheck(database, storage, timedelta(0), checksums=True)
    assert (await check.totals()).images == COUNT
    assert [finding async for finding in check.find(lambda _row: None)] == []


@pytest.mark.parametrize("make_files", [images.link_files, images.write_files])
async def test_rows_with_files_leave_the_backfill_nothing_to_do(
    database_url: URL, database: Database, tmp_path: Path, make_files: MakeFiles
) -> None:
    await fill(database_url, tmp_path / "images", make_files=make_files)
    backfill = Backfill(database, LocalStorage(tmp_path / "images"))
    assert await backfill.count() == 0
    rows = await seed.execute(database_url, "SELECT count(*) FROM images WHERE NOT truncated")
    assert rows[0][0] == COUNT
    for path in islice((tmp_path / "images").glob("??/*"), 20):
        content = path.read_bytes()
        image_type = detect(content)
        assert image_type
        inspection = Inspection(image_type, everywhere=True)
        inspection.feed(content)
        assert inspection.truncated is False


async def test_images_share_files_up_to_what_the_filesystem_allows(
    database_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_LINKS", 2)
    await fill(database_url, tmp_path / "images")
    links = {path.stat().st_nlink for path in (tmp_path / "images").glob("??/*")}
    assert links == {1, 2}


async def test_the_indexes_are_the_same_afterwards(database_url: URL, tmp_path: Path) -> None:
    before = await seed.execute(database_url, DEFINITIONS)
    await fill(database_url, tmp_path / "images")
    assert await seed.execute(database_url, DEFINITIONS) == before
    assert len(before) > 6


async def test_a_host_with_images_is_refused_unless_asked_to_add(
    database_url: URL, tmp_path: Path
) -> None:
    await fill(database_url, tmp_path / "images")
    with pytest.raises(seed.SeedRefused, match="--add"):
        await fill(database_url, tmp_path / "images")
    await fill(database_url, tmp_path / "images", to_others=True)
    (row,) = await seed.execute(database_url, "SELECT count(*) FROM images")
    assert row[0] == 2 * COUNT


def test_an_unavailable_database_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["seed", "--count=1"])
    assert seed.main() == 1
    assert capsys.readouterr().err.startswith("Nothing was added: The database is not available")


def test_rows_come_in_the_order_of_their_times() -> None:
    chance = Random(1)  # noqa: S311 - for variety
    drawn = images.rows(COUNT, images.typical_specs(chance), chance)
    times = [row.created_at for row in drawn]
    assert times == sorted(times)
    assert images.PERIOD * 0.9 < times[-1] - times[0] <= images.PERIOD
