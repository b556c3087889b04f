"""However many wait for a thumbnail, one rendering is asked for, and no wait lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from PIL import Image as PillowImage

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    ImageNotFound,
    ImageNotRenderable,
    StorageUnavailable,
    ThumbnailNotReady,
)
from app.domain.image import Image
from app.domain.job import Priority
from app.imaging.rendering.protocol import RenderLimits
from app.imaging.rendering.renderer import Renderer
from app.services import thumbnails as thumbnails_module
from app.services.images import Images
from app.services.rendering import Rendering
from app.services.use_cases import Services
from app.statements.rendering import clear_renditions
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.jobs import rows
from testkit.live import TIMEOUT, until
from testkit.renditions import put_rendition
from testkit.storages import OpenStorage, read_all
from testkit.uploads import LIMITS, execute, file, stored_keys

JPEG = samples.jpeg()
SIZES = (150, 300)

MakeServices = Callable[[], Services]


@pytest.fixture
async def make_services(database: Database, storage: MemoryStorage) -> AsyncIterator[MakeServices]:
    """Make what one server process works with; all share a database and a storage."""
    made: list[Services] = []

    def make() -> Services:
        made.append(Services(database, storage, LIMITS, SIZES))
        return made[-1]

    yield make
    for services in made:
        await services.close()


@pytest.fixture
def services(make_services: MakeServices) -> Services:
    return make_services()


async def ask(services: Services, image: Image, size: str = "300") -> bytes:
    """Do as a request does."""
    thumbnail = await services.thumbnails.find(image.id, size)
    thumbnail = thumbnail or await services.thumbnails.render(image.id, size)
    return await read_all(await services.files.open(thumbnail, 0, thumbnail.size))


async def queued_subjects(database: Database) -> list[object]:
    """Return the ids of the images that are queued to be rendered at once."""
    jobs = await rows(database, "args->>'subject', priority")
    return [subject for subject, priority in jobs if priority == Priority.INTERACTIVE]


async def until_queued(database: Database, count: int = 1) -> None:
    async with asyncio.timeout(TIMEOUT):
        while len(await queued_subjects(database)) < count:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)


async def test_a_thousand_requests_in_two_processes_ask_for_one_rendering(
    make_services: MakeServices, database: Database, storage: MemoryStorage
) -> None:
    processes = [make_services() for _ in range(2)]
    image = await processes[0].uploads.upload(file(JPEG), None)
    asked = [asyncio.create_task(ask(services, image)) for services in processes * 500]
    await until_queued(database)

    def waiting() -> list[int]:
        return [wait.clients for each in processes for wait in each.thumbnails._waits.values()]

    await until(lambda: waiting() == [500, 500])
    assert await queued_subjects(database) == [str(image.id)]
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert set(await asyncio.gather(*asked)) == {thumbnails[300]}
    assert not any(services.thumbnails._waits for services in processes)
    assert await queued_subjects(database) == [str(image.id)]


async def test_what_a_worker_renders_is_sent(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(samples.jpeg(200, 150, quality=10)), None)
    asked = asyncio.create_task(ask(services, image, "150"))
    await until_queued(database)
    limits = RenderLimits(memory_mb=512, seconds=int(TIMEOUT), max_pixels=1_000_000)
    renderer = Renderer(limits, SIZES)
    await Rendering(database, storage, renderer).render(image.id)
    await renderer.close()
    with PillowImage.open(BytesIO(await asked)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (150, 112))


async def test_a_rendering_goes_on_when_those_who_wait_leave(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    asked = [asyncio.create_task(ask(services, image)) for _ in range(3)]
    await until_queued(database)
    for leaving in asked[:2]:
        leaving.cancel()
    await asyncio.wait(asked[:2])
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert await asked[2] == thumbnails[300], "others go on waiting"
    assert await queued_subjects(database) == [str(image.id)]


async def test_a_wait_ends_with_the_last_who_waits(services: Services, database: Database) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    before = asyncio.all_tasks()
    asked = [asyncio.create_task(ask(services, image)) for _ in range(3)]
    await until_queued(database)
    for leaving in asked:
        leaving.cancel()
    await asyncio.wait(asked)
    assert services.thumbnails._waits == {}
    await until(lambda: asyncio.all_tasks() - before == set())


async def test_who_comes_late_waits_as_long_as_the_others(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    deadline = asyncio.timeout(None)
    with monkeypatch.context() as patch:
        of_the_first = SimpleNamespace(**vars(asyncio) | {"timeout": lambda _seconds: deadline})
        patch.setattr(thumbnails_module, "asyncio", of_the_first)
        first = asyncio.create_task(ask(services, image))
        await until_queued(database)
    second = asyncio.create_task(ask(services, image))
    await until(lambda: [wait.clients for wait in services.thumbnails._waits.values()] == [2])
    deadline.reschedule(0)
    with pytest.raises(ThumbnailNotReady):
        await first
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert await second == thumbnails[300]


async def test_more_waits_than_allowed_are_refused_at_once(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails_module, "MOST_WAITS", 2)
    images = [await services.uploads.upload(file(JPEG), None) for _ in range(3)]
    asked = [asyncio.create_task(ask(services, image)) for image in images[:2]]
    await until_queued(database, 2)
    with pytest.raises(ThumbnailNotReady):
        await ask(services, images[2])
    shared = asyncio.create_task(ask(services, images[0]))
    await asyncio.sleep(0)
    assert not shared.done(), "who joins a wait costs none"
    for leaving in (*asked, shared):
        leaving.cancel()
    await asyncio.wait((*asked, shared))


async def test_what_ends_a_wait_is_said_to_all(services: Services, database: Database) -> None:
    for end, expected in (
        ("UPDATE images SET render_error = 'The image is broken.'", ImageNotRenderable),
        ("DELETE FROM images", ImageNotFound),
    ):
        image = await services.uploads.upload(file(JPEG), None)
        asked = [asyncio.create_task(ask(services, image)) for _ in range(3)]
        await asyncio.sleep(0.2)
        await execute(database, end)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [expected] * 3


async def test_a_wait_ends_where_the_database_fails(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    asked = asyncio.create_task(ask(services, image))
    await asyncio.sleep(0.2)

    async def fail(*_: object) -> Image:
        raise DatabaseUnavailable

    monkeypatch.setattr(Images, "get_stored", fail)
    with pytest.raises(DatabaseUnavailable):
        await asked


async def test_a_lost_thumbnail_is_rendered_anew_and_the_others_are_removed(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await put_rendition(database, storage, image.id, SIZES)
    [lost] = [key for key in await stored_keys(storage) if "-300-" in key]
    await storage.delete(lost)
    asked = asyncio.create_task(ask(services, image))
    await until_queued(database)
    rendered = await services.images.get(image.id)
    assert (rendered.rendered_at, rendered.thumbnail_sizes) == (None, None)
    assert rendered.placeholder is not None, "it is still right"
    assert await stored_keys(storage) == [image.storage_key]
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert await asked == thumbnails[300]


async def test_a_thumbnail_that_is_lost_while_it_is_waited_for_is_rendered_anew(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    asked = asyncio.create_task(ask(services, image))
    await until_queued(database)
    await execute(
        database,
        "UPDATE images SET rendered_at = now(), thumbnail_sizes = '{150,300}'",
        "DELETE FROM procrastinate_jobs",
    )
    await until_queued(database)
    assert (await services.images.get(image.id)).rendered_at is None
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert await asked == thumbnails[300]


async def test_a_row_names_what_is_left_of_a_rendition_until_that_is_removed(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a delete removes it, which a process might send from memory."""
    image = await services.uploads.upload(file(JPEG), None)
    await put_rendition(database, storage, image.id, SIZES)
    [lost] = [key for key in await stored_keys(storage) if "-300-" in key]
    await storage.delete(lost)

    async def fail(_key: str) -> None:
        raise StorageUnavailable

    with monkeypatch.context() as failing:
        failing.setattr(storage, "delete", fail)
        with pytest.raises(StorageUnavailable):
            await ask(services, image)
    assert (await services.images.get(image.id)).rendered_at is not None
    await services.deletion.delete(image.id)
    assert await stored_keys(storage) == []


async def test_a_new_size_is_waited_for_while_the_others_are_sent(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    thumbnails = await put_rendition(database, storage, image.id, (150,))
    asked = asyncio.create_task(ask(services, image, "300"))
    await until_queued(database)
    assert await ask(services, image, "150") == thumbnails[150]
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    assert await asked == thumbnails[300]


async def test_in_a_wrong_folder_no_thumbnail_counts_as_lost(
    database: Database, open_storage: OpenStorage, tmp_path: Path
) -> None:
    right = open_storage(tmp_path / "right")
    services = Services(database, right, LIMITS, SIZES)
    await services.readiness.prepare_storage()
    image = await services.uploads.upload(file(JPEG), None)
    await put_rendition(database, right, image.id, SIZES)
    wrong = open_storage(tmp_path / "wrong")
    await wrong.prepare()
    mistaken = Services(database, wrong, LIMITS, SIZES)
    with pytest.raises(StorageUnavailable):
        await ask(mistaken, image)
    assert (await services.images.get(image.id)).rendered_at is not None


async def test_a_deleted_image_has_no_thumbnail_for_any_process(
    make_services: MakeServices, database: Database, storage: MemoryStorage
) -> None:
    deleting, remembering = make_services(), make_services()
    image = await deleting.uploads.upload(file(JPEG), None)
    thumbnails = await put_rendition(database, storage, image.id, SIZES)
    for services in (deleting, remembering):
        assert await ask(services, image) == thumbnails[300]
    thumbnail = await remembering.thumbnails.find(image.id, "300")
    assert thumbnail
    await deleting.deletion.delete(image.id)
    for services in (deleting, remembering):
        with pytest.raises(ImageNotFound):
            await services.files.require_present(thumbnail)
        with pytest.raises(ImageNotFound):
            await services.files.open(thumbnail, 0, 1)


async def test_a_row_that_was_rendered_anew_is_not_cleared(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    images = [await services.uploads.upload(file(JPEG), None) for _ in range(2)]
    for image in images:
        await put_rendition(database, storage, image.id, SIZES)
    lost = [await services.images.get(image.id) for image in images]
    await put_rendition(database, storage, images[1].id, SIZES)
    missing = lost[0]._replace(id=uuid4())
    async with database.write() as session:
        await clear_renditions(session, [*lost, missing])
    first, second = [await services.images.get(image.id) for image in images]
    assert first.rendered_at is None
    assert second.rendered_at not in {None, lost[1].rendered_at}
    assert second.thumbnail_sizes == list(SIZES)


async def test_none_is_rendered_for_strangers_of_an_image_that_has_become_private(
    services: Services, database: Database
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await execute(database, "UPDATE images SET is_public = false")
    await execute(database, "DELETE FROM procrastinate_jobs")
    with pytest.raises(ImageNotFound):
        await services.thumbnails.render(image.id, "150")
    assert await rows(database, "id") == []
