"""Whether a folder is the storage of a database: at the start, and while a service runs."""

import asyncio
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.image import Image, NewImage
from app.domain.limits import UploadLimits
from app.services.identity import StorageIdentity, WrongStorage, require_unused
from app.services.readiness import PROBE_INTERVAL
from app.services.use_cases import Services
from app.statements.images import insert_images
from app.storage.abilities import Mark
from app.storage.local.backend import LocalStorage
from app.storage.local.marking import NAME, read_mark, write_mark
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.storages import OpenStorage
from testkit.uploads import file, read

JPEG = samples.jpeg()
LIMITS = UploadLimits(max_upload_bytes=1_000_000, batch_max_files=20, uploads_per_hour_per_ip=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


class Volume:
    """A folder that a volume is mounted on."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._aside = root.with_name("volume")

    def unmount(self, place: str) -> None:
        """Unmount it; what it was mounted on is missing, or a folder."""
        self.root.rename(self._aside)
        if place != "missing":
            self.root.mkdir()

    def mount(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self._aside.rename(self.root)

    def contents(self) -> list[Path]:
        return sorted(self.root.rglob("*"))


@pytest.fixture
def volume(root: Path) -> Volume:
    return Volume(root)


async def start(database: Database, root: Path) -> StorageIdentity:
    """Do what a service does with its storage when it starts."""
    identity = StorageIdentity(database, LocalStorage(root))
    await identity.establish()
    return identity


async def known_id(database: Database) -> UUID | None:
    async with database.read() as session:
        found: UUID | None = await session.scalar(text("SELECT storage_id FROM installation"))
    return found


async def forget(database: Database) -> None:
    """Be a database of a version that knew no ids."""
    async with database.write() as session:
        await session.execute(text("UPDATE installation SET storage_id = NULL"))


async def upload(database: Database, storage: LocalStorage) -> Image:
    """Add an image as a version that knew no ids did."""
    image_id = uuid4()
    key = f"{image_id.hex}.jpg"
    staged = await storage.stage(key, "image/jpeg")
    await staged.write(JPEG)
    checksum = await staged.publish()
    row = NewImage(
        image_id, "a.jpg", key, "image/jpeg", len(JPEG), None, None, None, checksum, truncated=False
    )
    async with database.write() as session:
        return (await insert_images(session, [row]))[image_id]


async def test_a_new_database_and_a_new_folder_get_an_id(database: Database, root: Path) -> None:
    await start(database, root)
    known = await known_id(database)
    assert known is not None
    assert read_mark(root) == Mark(known)
    await start(database, root)
    assert await known_id(database) == known


async def test_services_that_start_at_once_agree(database: Database, root: Path) -> None:
    await asyncio.gather(*(start(database, root) for _ in range(8)))
    known = await known_id(database)
    assert known
    assert read_mark(root) == Mark(known)
    assert [path.name for path in Volume(root).contents()] == [NAME]


@pytest.mark.parametrize("place", ["missing", "empty", "folders"])
async def test_a_volume_that_is_not_mounted_is_refused(
    database: Database, root: Path, volume: Volume, open_storage: OpenStorage, place: str
) -> None:
    """What lies under it may even have the folders of a service that once ran without it."""
    await start(database, root)
    volume.unmount(place)
    if place == "folders":
        await open_storage(root).prepare()
    before = volume.contents()
    with pytest.raises(WrongStorage, match=rf"{root} .* the id [0-9a-f-]{{36}} was expected, and"):
        await start(database, root)
    assert volume.contents() == before
    volume.mount()
    await start(database, root)


async def test_a_folder_of_another_database_is_refused(database: Database, root: Path) -> None:
    await start(database, root)
    other = uuid4()
    write_mark(root, Mark(other))
    with pytest.raises(WrongStorage, match=f"the id {other} is there"):
        await start(database, root)
    await forget(database)
    with pytest.raises(WrongStorage, match=f"belongs to another, under the id {other}"):
        await start(database, root)
    assert read_mark(root) == Mark(other)
    assert await known_id(database) is None


async def test_a_folder_of_images_is_refused_by_a_database_that_knows_none(
    database: Database, root: Path, open_storage: OpenStorage
) -> None:
    storage = open_storage(root)
    await upload(database, storage)
    async with database.write() as session:
        await session.execute(text("DELETE FROM images"))
    with pytest.raises(WrongStorage, match="it holds images, and the database knows of none"):
        await start(database, root)


@pytest.mark.parametrize("marked", [False, True])
async def test_the_images_of_an_earlier_version_are_recognised(
    database: Database, root: Path, open_storage: OpenStorage, *, marked: bool
) -> None:
    """Also after a way back to that version, which leaves the mark in the folder."""
    images = [await upload(database, open_storage(root)) for _ in range(30)]
    for image in images[::2]:
        (root / image.storage_key[:2] / image.storage_key).unlink()
    if marked:
        write_mark(root, Mark(uuid4()))
    mark = read_mark(root)
    await start(database, root)
    known = await known_id(database)
    assert known
    assert read_mark(root) == Mark(known)
    assert mark in {None, Mark(known)}


@pytest.mark.parametrize("place", ["missing", "empty", "of others"])
async def test_an_earlier_version_without_its_volume_is_refused(
    database: Database, root: Path, volume: Volume, open_storage: OpenStorage, place: str
) -> None:
    await upload(database, open_storage(root))
    volume.unmount(place)
    if place == "of others":
        staged = await (storage := open_storage(root)).stage("0" * 32, "image/jpeg")
        await staged.publish()
        await storage.close()
    with pytest.raises(WrongStorage, match="1 were looked for there and none was found"):
        await start(database, root)
    assert await known_id(database) is None
    assert not (root / NAME).exists()


async def test_a_start_that_is_killed_on_the_way_leaves_nothing_in_the_way_of_the_next(
    database: Database, root: Path
) -> None:
    write_mark(root, Mark(uuid4(), is_confirmed=False))  # before the database knew
    await start(database, root)
    known = await known_id(database)
    assert known
    assert read_mark(root) == Mark(known)
    write_mark(root, Mark(known, is_confirmed=False))  # after that
    await start(database, root)
    assert read_mark(root) == Mark(known)


async def test_a_folder_is_adopted_where_that_is_asked_for(database: Database, root: Path) -> None:
    await start(database, root)
    known = await known_id(database)
    assert known
    shutil.rmtree(root)
    for other in (None, Mark(uuid4())):
        if other:
            write_mark(root, other)
        await StorageIdentity(database, LocalStorage(root)).adopt()
        assert read_mark(root) == Mark(known)
        await start(database, root)
    await forget(database)
    await StorageIdentity(database, LocalStorage(root)).adopt()
    assert await known_id(database) not in {None, known}
    await start(database, root)


async def test_a_new_database_is_not_made_beside_images(
    database: Database, root: Path, open_storage: OpenStorage
) -> None:
    await require_unused(LocalStorage(root))
    await open_storage(root).prepare()
    await require_unused(LocalStorage(root))
    image = await upload(database, open_storage(root))
    with pytest.raises(WrongStorage, match="it is in use, and the database is not there"):
        await require_unused(LocalStorage(root))
    (root / image.storage_key[:2] / image.storage_key).unlink()
    await require_unused(LocalStorage(root))
    write_mark(root, Mark(uuid4()))
    with pytest.raises(WrongStorage):
        await require_unused(LocalStorage(root))


@pytest.mark.parametrize("content", ["", "no id", "\x00" * 37, "without the end of its line"])
async def test_a_mark_that_cannot_be_read_is_replaced_only_where_that_is_asked_for(
    database: Database, root: Path, content: str
) -> None:
    """Not by a start, not by another database; the line says how."""
    await start(database, root)
    if content.startswith("without"):
        content = (root / NAME).read_text().rstrip()
    (root / NAME).write_text(content)
    for refusing in (start(database, root), require_unused(LocalStorage(root))):
        with pytest.raises(StorageUnavailable) as raised:
            await refusing
        assert "this is not the id of a storage" in str(raised.value.__cause__)
        assert "--adopt-storage" in str(raised.value.__cause__)
    assert (root / NAME).read_text() == content
    await StorageIdentity(database, LocalStorage(root)).adopt()
    await start(database, root)


def test_a_mark_that_cannot_be_written_leaves_nothing(root: Path) -> None:
    (root / NAME).mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_mark(root, Mark(uuid4()))
    assert [path.name for path in root.iterdir()] == [NAME]


async def test_a_backend_that_cannot_be_mistaken_needs_no_mark(database: Database) -> None:
    identity = StorageIdentity(database, MemoryStorage())
    await identity.require()
    assert await known_id(database) is None


@pytest.mark.parametrize("place", ["missing", "empty", "folders", "another"])
async def test_a_volume_that_is_unmounted_while_the_service_runs_is_noticed_at_once(
    database: Database, root: Path, volume: Volume, open_storage: OpenStorage, place: str
) -> None:
    """No upload lies under its mount point, and no image counts as lost."""
    storage = open_storage(root)
    services = Services(database, storage, LIMITS)
    image, other = [await services.uploads.upload(file(content), None) for content in (JPEG, JPEG)]
    assert await read(services, image) == JPEG

    volume.unmount(place)
    if place in {"folders", "another"}:
        await open_storage(root).prepare()
    if place == "another":
        write_mark(root, Mark(uuid4()))
    for content in (JPEG, samples.sized_jpeg(900_000)):
        with pytest.raises(StorageUnavailable):
            await services.uploads.upload(file(content), None)
    for lost in (image, other):
        with pytest.raises(StorageUnavailable):
            await read(services, lost)
    assert [*await services.readiness.outages()] == ["storage"]
    assert [path for path in volume.contents() if path.is_file() and path.name != NAME] == []

    volume.mount()
    await asyncio.sleep(PROBE_INTERVAL)  # for so long the result of the last probe is given again
    assert await services.readiness.outages() == {}
    assert await read(services, await services.uploads.upload(file(JPEG), None)) == JPEG
    assert await read(services, other) == JPEG
