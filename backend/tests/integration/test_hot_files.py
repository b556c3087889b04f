"""What is remembered of files is never used once it is stale, whoever changed it.

Two services over one database and one folder stand for two workers.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, insert

from app.database.engine import Database
from app.domain.errors import ImageNotFound, StorageUnavailable
from app.domain.image import Image
from app.models import ImageRow
from app.services import files as files_module
from app.services.use_cases import Services
from app.storage.local import backend
from testkit import samples
from testkit.storages import OpenStorage, read_all
from testkit.uploads import LIMITS, file

JPEG = samples.jpeg()


class Statements:
    """Counts what is sent to the database."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        event.listen(database._engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, *_: object) -> None:
        self.count += 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


@pytest.fixture
async def workers(
    database: Database, root: Path, open_storage: OpenStorage
) -> tuple[Services, Services]:
    storages = [open_storage(root) for _ in range(2)]
    for storage in storages:
        await storage.prepare()  # as a service does when it starts
    first, second = (Services(database, storage, LIMITS) for storage in storages)
    return first, second


async def look_at(services: Services, image: Image) -> bytes:
    """Do as a download does, and as a conditional request does beforehand."""
    found = await services.files.find(image.id)
    await services.files.require_present(found)
    return await read_all(await services.files.open(found, 0, found.size))


async def test_an_image_in_demand_is_looked_up_once(
    database: Database,
    root: Path,
    open_storage: OpenStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files_module, "REMEMBERED_SECONDS", 3600.0)
    services = Services(database, open_storage(root), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await look_at(services, image)
    statements = Statements(database)
    for _ in range(10):
        assert await look_at(services, image) == JPEG
    assert statements.count == 0


async def test_what_is_remembered_is_asked_again_after_a_while(
    database: Database,
    root: Path,
    open_storage: OpenStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files_module, "REMEMBERED_SECONDS", 0.0)
    services = Services(database, open_storage(root), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await look_at(services, image)
    statements = Statements(database)
    await look_at(services, image)
    assert statements.count == 1


async def test_a_deleted_image_is_gone_for_every_worker_at_once(
    workers: tuple[Services, Services],
) -> None:
    deleting, remembering = workers
    image = await deleting.uploads.upload(file(JPEG), None)
    for services in workers:
        for _ in range(2):
            assert await look_at(services, image) == JPEG
    found = await remembering.files.find(image.id)
    await deleting.deletion.delete(image.id)
    for services in workers:
        with pytest.raises(ImageNotFound):
            await look_at(services, image)
        with pytest.raises(ImageNotFound):
            await services.files.require_present(found)
        with pytest.raises(ImageNotFound):
            await services.files.open(found, 0, 1)


async def test_a_delete_that_leaves_the_file_is_over_only_when_no_worker_remembers_the_image(
    workers: tuple[Services, Services],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deleting, remembering = workers
    image = await deleting.uploads.upload(file(JPEG), None)
    for _ in range(2):
        await look_at(remembering, image)

    async def stuck(_key: str) -> None:
        raise StorageUnavailable

    monkeypatch.setattr(deleting.deletion._removal._storage, "delete", stuck)
    delete = asyncio.create_task(deleting.deletion.delete(image.id))
    try:
        while not delete.done():
            # Still remembered, or looked up again and not found; either is true by now.
            await look_at(remembering, image)
            await asyncio.sleep(0.05)
    except ImageNotFound:
        pass
    await delete
    with pytest.raises(ImageNotFound):
        await remembering.files.find(image.id)


async def test_a_lookup_that_was_overtaken_by_a_delete_brings_nothing_back(
    workers: tuple[Services, Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    deleting, remembering = workers
    image = await deleting.uploads.upload(file(JPEG), None)
    look_up = remembering.images.get

    async def slow(image_id: UUID) -> Image:
        found = await look_up(image_id)
        await deleting.deletion.delete(image_id)
        return found

    monkeypatch.setattr(remembering.images, "get", slow)
    found = await remembering.files.find(image.id)
    monkeypatch.setattr(remembering.images, "get", look_up)
    with pytest.raises(ImageNotFound):
        await remembering.files.open(found, 0, 1)
    with pytest.raises(ImageNotFound):
        await remembering.files.require_present(found)


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> int:
    most = 100
    monkeypatch.setattr(files_module, "HOT_FILES", most)
    monkeypatch.setattr(backend, "WARM_FILES", most)
    return most


async def test_ten_thousand_images_in_turn_have_their_own_bytes_in_bounded_memory(
    database: Database,
    root: Path,
    little_memory: int,
    open_storage: OpenStorage,
) -> None:
    storage = open_storage(root)
    await storage.prepare()
    services = Services(database, storage, LIMITS)
    images = []
    for number in range(10_000):
        image_id = uuid4()
        key = f"{image_id.hex}.jpg"
        content = JPEG[:20] + number.to_bytes(4)
        (root / key[:2] / key).write_bytes(content)
        images.append(
            Image(
                id=image_id,
                filename=f"{number}.jpg",
                storage_key=key,
                content_type="image/jpeg",
                file_size=len(content),
                width=None,
                height=None,
                checksum=None,
                truncated=None,
                created_at=datetime.now(UTC),
                updated_at=None,
                placeholder=None,
                rendered_at=None,
                thumbnail_sizes=None,
                render_error=None,
            )
        )
    async with database.write() as session:
        await session.execute(insert(ImageRow), [image._asdict() for image in images])

    async def check(number: int) -> None:
        image = images[number]
        for _ in range(2):
            assert await look_at(services, image) == JPEG[:20] + number.to_bytes(4)

    for begin in range(0, len(images), 50):
        await asyncio.gather(*map(check, range(begin, begin + 50)))
    assert len(services.files.hot._entries) <= little_memory
    assert len(storage._warm._entries) <= little_memory
