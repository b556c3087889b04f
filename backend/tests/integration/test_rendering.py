"""Rendering an image: what its row and the storage hold afterwards, whatever happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image as PillowImage

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    ImageDamaged,
    StorageFull,
    StorageUnavailable,
)
from app.domain.image import Image
from app.domain.metadata import Metadata
from app.domain.thumbnails import thumbnail_key
from app.imaging.formats import ImageType
from app.imaging.rendering.child import Rendition
from app.imaging.rendering.protocol import RenderingFailed, RenderLimits, TakesTooLong
from app.imaging.rendering.renderer import Renderer
from app.jobs.rendering import rendering_task
from app.observability.reasons import reason
from app.services.rendering import Rendering
from app.services.use_cases import Services
from app.storage.base import ObjectReader, StagedObject, StorageBackend
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.database_proxy import Cut, DatabaseProxy
from testkit.exif import photograph
from testkit.format_samples import named
from testkit.format_samples.picture import quadrants, upright
from testkit.live import TIMEOUT
from testkit.renditions import put_rendition
from testkit.storages import OpenStorage, read_all
from testkit.uploads import LIMITS, Watched, execute, file, row_keys, stored_keys

SIZES = (150, 300, 800)
RENDER_LIMITS = RenderLimits(memory_mb=512, seconds=int(TIMEOUT), max_pixels=1_000_000)
JPEG = samples.jpeg(200, 150, quality=10)
TURNED = samples.of_every_kind()["orientation-6.jpg"][0]
TOO_LARGE = samples.png_header(1001, 1000) + samples.chunk(b"IDAT", b"")
PHOTO = {"camera_make": "Acme", "orientation": 1}
_EXIF = photograph("Acme")
PHOTOGRAPH = JPEG[:2] + samples.segment(0xE1, _EXIF) + JPEG[2:]
LARGE_PHOTOGRAPH = b"".join(
    (
        samples.png_header(1001, 1000),
        samples.chunk(b"eXIf", _EXIF.removeprefix(b"Exif\0\0")),
        samples.chunk(b"IDAT", b""),
    )
)

OpenRenderer = Callable[..., Renderer]


@pytest.fixture
async def open_renderer() -> AsyncIterator[OpenRenderer]:
    """Make renderers, whose processes end with the test."""
    opened: list[Renderer] = []

    def open_renderer(*sizes: int) -> Renderer:
        opened.append(Renderer(RENDER_LIMITS, sizes or SIZES))
        return opened[-1]

    yield open_renderer
    for renderer in opened:
        await renderer.close()


@pytest.fixture
def rendering(database: Database, storage: MemoryStorage, open_renderer: OpenRenderer) -> Rendering:
    return Rendering(database, storage, open_renderer())


def keys_of(image: Image) -> list[str]:
    assert image.rendered_at
    assert image.thumbnail_sizes is not None
    return [
        thumbnail_key(image.storage_key, size, image.rendered_at) for size in image.thumbnail_sizes
    ]


async def found(services: Services, image: Image) -> Image:
    return await services.images.get(image.id)


async def assert_rendered(
    services: Services, storage: StorageBackend, image: Image, sizes: tuple[int, ...] = SIZES
) -> Image:
    """Check that the row names all thumbnails, and that there are no other files."""
    after = await found(services, image)
    assert tuple(after.thumbnail_sizes or ()) == sizes
    assert after.placeholder
    assert await stored_keys(storage) == sorted([image.storage_key, *keys_of(after)])
    return after


async def test_a_rendered_image_has_its_thumbnails_and_a_placeholder(
    services: Services, storage: MemoryStorage, rendering: Rendering
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await rendering.render(image.id)
    after = await assert_rendered(services, storage, image)
    sides = []
    for key in keys_of(after):
        content = await read_all(await storage.open(key))
        with PillowImage.open(BytesIO(content), formats=["WEBP"]) as thumbnail:
            sides.append(thumbnail.size)
    assert sides == [(150, 112), (200, 150), (200, 150)]
    for name in Image._fields[:9]:
        assert getattr(after, name) == getattr(image, name)


@pytest.mark.parametrize("kind", ImageType)
async def test_images_of_every_type_are_rendered(
    database: Database, storage: MemoryStorage, rendering: Rendering, kind: ImageType
) -> None:
    services = Services(database, storage, LIMITS._replace(max_upload_bytes=100_000))
    sample = named(f"{kind.removeprefix('image/')} plain")
    image = await services.uploads.upload(file(sample.content), None)
    assert (image.content_type, image.width, image.height) == (kind, *sample.size)
    await rendering.render(image.id)
    after = await assert_rendered(services, storage, image)
    content = await read_all(await storage.open(keys_of(after)[0]))
    with PillowImage.open(BytesIO(content), formats=["WEBP"]) as thumbnail:
        for found, stored in zip(quadrants(thumbnail), quadrants(upright()), strict=True):
            assert all(abs(a - b) < 10 for a, b in zip(found, stored, strict=True))


async def test_an_image_that_is_rendered_already_is_left_alone(
    services: Services, storage: MemoryStorage, rendering: Rendering
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await rendering.render(image.id)
    before = await found(services, image)
    await rendering.render(image.id)
    assert await assert_rendered(services, storage, image) == before


async def test_other_sizes_replace_the_previous_thumbnails(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    rendering: Rendering,
    open_renderer: OpenRenderer,
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    await rendering.render(image.id)
    await Rendering(database, storage, open_renderer(64, 150)).render(image.id)
    await assert_rendered(services, storage, image, (64, 150))


async def test_previous_thumbnails_are_gone_before_the_row_names_others(
    database: Database, open_renderer: OpenRenderer
) -> None:
    """Else a process that remembers them might send them when the image is deleted."""

    class Ordered(MemoryStorage):
        async def delete(self, key: str) -> None:
            assert key in keys_of(await services.images.get(image.id))
            removed.append(key)
            await super().delete(key)

    removed: list[str] = []
    storage = Ordered()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await Rendering(database, storage, open_renderer(150, 300)).render(image.id)
    previous = keys_of(await found(services, image))
    await Rendering(database, storage, open_renderer(300, 800)).render(image.id)
    assert removed == previous
    await assert_rendered(services, storage, image, (300, 800))


async def test_a_previous_thumbnail_that_cannot_be_removed_stays_in_the_row(
    database: Database, open_renderer: OpenRenderer
) -> None:
    class Failing(MemoryStorage):
        async def delete(self, key: str) -> None:
            if key == stuck:
                raise StorageUnavailable
            await super().delete(key)

    stuck = ""
    storage = Failing()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await Rendering(database, storage, open_renderer(150, 300)).render(image.id)
    before = await found(services, image)
    _, stuck = keys_of(before)
    again = Rendering(database, storage, open_renderer(300, 800))
    with pytest.raises(StorageUnavailable):
        await again.render(image.id)
    assert await found(services, image) == before
    assert await stored_keys(storage) == sorted([image.storage_key, stuck])
    stuck = ""
    await again.render(image.id)
    await assert_rendered(services, storage, image, (300, 800))


async def test_sides_that_the_row_lacks_are_filled_in_and_known_ones_stay(
    services: Services, database: Database, rendering: Rendering
) -> None:
    unknown = await services.uploads.upload(file(TURNED), None)
    known = await services.uploads.upload(file(TURNED), None)
    await execute(
        database,
        f"UPDATE images SET width = NULL, height = NULL WHERE id = '{unknown.id}'",  # noqa: S608
        f"UPDATE images SET width = 5, height = 6 WHERE id = '{known.id}'",  # noqa: S608
    )
    for image in (unknown, known):
        await rendering.render(image.id)
    images = [await found(services, image) for image in (unknown, known)]
    assert [(image.width, image.height) for image in images] == [(48, 64), (5, 6)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xd8\xff\xe0 and nothing more", "The image is damaged and cannot be decoded."),
        (TOO_LARGE, "The image has 1,001,000 pixels, and the limit is 1,000,000."),
    ],
)
async def test_an_image_that_cannot_be_rendered_says_why(
    services: Services,
    storage: MemoryStorage,
    rendering: Rendering,
    content: bytes,
    sentence: str,
) -> None:
    image = await services.uploads.upload(file(content), None)
    await rendering.render(image.id)
    after = await found(services, image)
    assert after == image._replace(render_error=sentence)
    assert await stored_keys(storage) == [image.storage_key]


async def test_an_image_that_is_given_up_says_so_until_it_is_rendered(
    services: Services,
    storage: MemoryStorage,
    rendering: Rendering,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The reason may name paths and hosts, which are for the operator alone."""
    image = await services.uploads.upload(file(JPEG), None)
    task = rendering_task(rendering)
    assert task.set_aside
    await task.set_aside(str(image.id), "fsync: /data/images/12")
    sentence = "The image could not be rendered; the service's log says why."
    assert (await found(services, image)).render_error == sentence
    assert f"{image.id} is not rendered after all attempts: fsync: /data/images/12" in caplog.text
    await task.run(str(image.id))
    assert (await assert_rendered(services, storage, image)).render_error is None


async def test_an_image_that_is_unknown_is_no_error(
    rendering: Rendering, storage: MemoryStorage
) -> None:
    await rendering.render(uuid4())
    await rendering.set_aside(uuid4(), "whatever")
    assert await stored_keys(storage) == []


async def test_a_missing_or_shortened_original_fails_the_attempt_and_is_named(
    services: Services, storage: MemoryStorage, rendering: Rendering
) -> None:
    missing = await services.uploads.upload(file(JPEG), None)
    short = await services.uploads.upload(file(JPEG), None)
    await storage.delete(missing.storage_key)
    storage._objects[short.storage_key] = (JPEG[:100], short.created_at)
    for image in (missing, short):
        with pytest.raises(ImageDamaged) as raised:
            await rendering.render(image.id)
        assert (await found(services, image)).render_error is None
        assert f"image {image.id}: its file {image.storage_key}" in reason(raised.value)


class Interfering(Watched):
    """Does something when thumbnails are about to be staged."""

    def __init__(self) -> None:
        super().__init__()
        self.interfere: Callable[[], Awaitable[object]] | None = None

    async def stage(self, key: str, content_type: str) -> StagedObject:
        if self.interfere and "-" in key:
            interfere, self.interfere = self.interfere, None
            await interfere()
        return await super().stage(key, content_type)


async def test_an_image_that_is_deleted_while_it_is_rendered_leaves_no_file(
    database: Database, open_renderer: OpenRenderer
) -> None:
    storage = Interfering()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    storage.interfere = lambda: services.deletion.delete(image.id)
    await Rendering(database, storage, open_renderer()).render(image.id)
    assert await stored_keys(storage) == await row_keys(database) == []
    assert len(storage.staged) == 1 + len(SIZES)


async def test_an_image_that_is_made_private_before_it_is_read_is_rendered_all_the_same(
    database: Database, open_renderer: OpenRenderer
) -> None:
    class Reading(MemoryStorage):
        async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
            if key == image.storage_key and not replaced:
                replaced.append(key)
                await services.visibility.change(image.id, is_public=False)
            return await super().open(key, start, length)

    replaced: list[str] = []
    storage = Reading()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await Rendering(database, storage, open_renderer()).render(image.id)
    await assert_rendered(services, storage, await found(services, image))
    assert replaced


async def test_of_two_renderings_at_once_the_files_of_one_stay(
    database: Database, open_renderer: OpenRenderer
) -> None:
    storage = Interfering()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    rendering = Rendering(database, storage, open_renderer())
    storage.interfere = lambda: rendering.render(image.id)
    await rendering.render(image.id)
    await assert_rendered(services, storage, image)
    assert len(storage.staged) == 1 + 2 * len(SIZES)


@pytest.mark.parametrize(
    ("fail_in", "error"), [("write", StorageFull), ("publish", StorageUnavailable)]
)
async def test_a_storage_that_fails_leaves_no_thumbnail_and_the_next_attempt_renders(
    database: Database, open_renderer: OpenRenderer, fail_in: str, error: type[Exception]
) -> None:
    storage = Watched()
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    rendering = Rendering(database, storage, open_renderer())
    storage.fail_in = fail_in
    with pytest.raises(error):
        await rendering.render(image.id)
    assert await stored_keys(storage) == [image.storage_key]
    assert await found(services, image) == image
    storage.fail_in = ""
    await rendering.render(image.id)
    await assert_rendered(services, storage, image)


async def test_a_storage_that_fails_for_one_thumbnail_leaves_none(
    database: Database, open_renderer: OpenRenderer
) -> None:
    class Full(MemoryStorage):
        async def stage(self, key: str, content_type: str) -> StagedObject:
            if "-300-" in key:
                raise StorageFull
            return await super().stage(key, content_type)

    storage = Full()
    image = await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    with pytest.raises(StorageFull):
        await Rendering(database, storage, open_renderer()).render(image.id)
    assert await stored_keys(storage) == [image.storage_key]


async def test_a_cancelled_rendering_leaves_no_thumbnail(
    database: Database, open_renderer: OpenRenderer
) -> None:
    reached = asyncio.Event()

    class Hanging(MemoryStorage):
        async def stage(self, key: str, content_type: str) -> StagedObject:
            if "-300-" in key:
                reached.set()
                await asyncio.Event().wait()
            return await super().stage(key, content_type)

    storage = Hanging()
    image = await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    rendering = Rendering(database, storage, open_renderer())
    task = asyncio.create_task(rendering.render(image.id))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored_keys(storage) == [image.storage_key]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_database_that_fails_at_the_row_fails_the_attempt_and_the_next_one_ends_well(
    database: Database,
    proxy: DatabaseProxy,
    storage: MemoryStorage,
    open_renderer: OpenRenderer,
    when: Cut,
) -> None:
    """Whether the row was written is unknown, so that nothing may be removed."""
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    reached = Database(proxy.url)
    rendering = Rendering(reached, storage, open_renderer())
    proxy.cut("UPDATE images", when)
    with pytest.raises(DatabaseUnavailable):
        await rendering.render(image.id)
    assert len(await stored_keys(storage)) == 1 + len(SIZES)
    await rendering.render(image.id)
    after = await found(services, image)
    assert set(keys_of(after)) <= set(await stored_keys(storage))
    await reached.close()


async def test_no_connection_to_the_database_is_held_while_an_image_is_rendered(
    database: Database, services: Services, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(JPEG), None)
    held = []

    class Asking(Renderer):
        async def render(self, descriptor: int) -> Rendition:
            held.append(database._engine.pool.checkedout())  # type: ignore[attr-defined]
            return await super().render(descriptor)

    renderer = Asking(RENDER_LIMITS, SIZES)
    await Rendering(database, storage, renderer).render(image.id)
    await renderer.close()
    assert held == [0]


async def test_a_failed_process_fails_the_attempt_and_writes_nothing(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    class Failing(Renderer):
        async def render(self, descriptor: int) -> Rendition:  # noqa: ARG002
            raise RenderingFailed("The process that renders has ended with status -6.")

    image = await services.uploads.upload(file(JPEG), None)
    renderer = Failing(RENDER_LIMITS, SIZES)
    with pytest.raises(RenderingFailed):
        await Rendering(database, storage, renderer).render(image.id)
    await renderer.close()
    assert await services.images.details(image.id) == (image, None)


async def metadata_of(services: Services, image: Image) -> Metadata | None:
    return (await services.images.details(image.id)).metadata


async def test_metadata_is_recorded_with_the_thumbnails_or_with_why_there_are_none(
    services: Services, storage: MemoryStorage, rendering: Rendering
) -> None:
    good = await services.uploads.upload(file(PHOTOGRAPH), None)
    plain = await services.uploads.upload(file(JPEG), None)
    large = await services.uploads.upload(file(LARGE_PHOTOGRAPH), None)
    broken = await services.uploads.upload(file(b"\xff\xd8\xff\xe0 and nothing more"), None)
    images = (good, plain, large, broken)
    for image in images:
        await rendering.render(image.id)
    assert [await metadata_of(services, image) for image in images] == [PHOTO, {}, PHOTO, {}]
    assert (await found(services, large)).render_error


async def test_metadata_alone_is_extracted_where_the_thumbnails_are_there(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    class Extracting(Renderer):
        async def render(self, descriptor: int) -> Rendition:
            raise AssertionError(descriptor)

    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await put_rendition(database, storage, image.id)
    await execute(database, "UPDATE images SET metadata = NULL")
    before = await found(services, image)
    renderer = Extracting(RENDER_LIMITS, SIZES)
    rendering = Rendering(database, storage, renderer)
    await rendering.render(image.id)
    assert await services.images.details(image.id) == (before, PHOTO)
    await storage.delete(image.storage_key)
    await rendering.render(image.id)  # which does not read it
    await renderer.close()


async def test_what_an_earlier_version_could_not_render_is_rendered(
    services: Services, database: Database, storage: MemoryStorage, rendering: Rendering
) -> None:
    """Of a type that it did not know: in a rolling upgrade, it may have taken the job."""
    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await execute(database, "UPDATE images SET render_error = 'It is damaged.'")
    await rendering.render(image.id)
    assert (await assert_rendered(services, storage, image)).render_error is None
    assert await metadata_of(services, image) == PHOTO


async def test_other_sizes_leave_the_metadata_as_it_is(
    services: Services,
    database: Database,
    storage: MemoryStorage,
    rendering: Rendering,
    open_renderer: OpenRenderer,
) -> None:
    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await rendering.render(image.id)
    await execute(database, """UPDATE images SET metadata = '{"iso": 7}'""")
    await Rendering(database, storage, open_renderer(64)).render(image.id)
    assert await metadata_of(services, image) == {"iso": 7}


class Crashing(Renderer):
    """Loses its process whenever it extracts."""

    async def extract(self, descriptor: int) -> Metadata:  # noqa: ARG002
        raise RenderingFailed("The process that renders has ended with status -11.")


async def test_a_crash_of_the_extraction_prevents_no_thumbnail_and_the_next_job_extracts(
    services: Services, database: Database, storage: MemoryStorage, rendering: Rendering
) -> None:
    renderer = Crashing(RENDER_LIMITS, SIZES)
    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await Rendering(database, storage, renderer).render(image.id)
    await renderer.close()
    await assert_rendered(services, storage, image)
    assert await metadata_of(services, image) is None
    await rendering.render(image.id)
    assert await metadata_of(services, image) == PHOTO


async def test_metadata_that_no_attempt_extracts_is_given_up_and_the_thumbnails_stay(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await put_rendition(database, storage, image.id)
    await execute(database, "UPDATE images SET metadata = NULL")
    before = await found(services, image)
    rendering = Rendering(database, storage, Crashing(RENDER_LIMITS, SIZES))
    with pytest.raises(RenderingFailed):
        await rendering.render(image.id)
    await rendering.set_aside(image.id, "it crashes")
    assert await services.images.details(image.id) == (before, {})


async def test_an_extraction_that_takes_too_long_says_nothing_and_prevents_no_thumbnail(
    services: Services, database: Database, storage: MemoryStorage
) -> None:
    class Slow(Renderer):
        async def extract(self, descriptor: int) -> Metadata:  # noqa: ARG002
            raise TakesTooLong("It takes too much processor time.", "")

    renderer = Slow(RENDER_LIMITS, SIZES)
    image = await services.uploads.upload(file(PHOTOGRAPH), None)
    await Rendering(database, storage, renderer).render(image.id)
    await renderer.close()
    await assert_rendered(services, storage, image)
    assert await metadata_of(services, image) == {}


async def test_the_wrong_storage_is_neither_read_nor_written(
    database: Database, open_storage: OpenStorage, open_renderer: OpenRenderer, tmp_path: Path
) -> None:
    storage, other = open_storage(tmp_path / "images"), open_storage(tmp_path / "other")
    image = await Services(database, storage, LIMITS).uploads.upload(file(JPEG), None)
    (tmp_path / "other").mkdir()
    with pytest.raises(StorageUnavailable):
        await Rendering(database, other, open_renderer()).render(image.id)
    assert list((tmp_path / "other").rglob("*")) == []


async def test_thumbnails_lie_beside_their_original(
    database: Database, open_storage: OpenStorage, open_renderer: OpenRenderer, tmp_path: Path
) -> None:
    storage = open_storage(tmp_path)
    services = Services(database, storage, LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    await Rendering(database, storage, open_renderer()).render(image.id)
    after = await assert_rendered(services, storage, image)
    folder = tmp_path / image.storage_key[:2]
    assert {path.name for path in folder.iterdir()} == {image.storage_key, *keys_of(after)}
