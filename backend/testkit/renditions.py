"""Thumbnails without a worker: what one leaves in the storage and in the row."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID

from PIL import Image as PillowImage
from sqlalchemy import select, update

from app.config.settings import Settings
from app.database.engine import Database, WriteSession
from app.domain.errors import ImageHostError
from app.domain.image import Image
from app.domain.thumbnails import CONTENT_TYPE, thumbnail_keys
from app.models import ImageRow
from app.statements.images import find_images
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from testkit.live import TIMEOUT

SIZES = (150, 300, 800)
STAND_INS = dict.fromkeys(SIZES, b"RIFF: a thumbnail, as far as the storage knows")


async def put_thumbnails(
    session: WriteSession,
    storage: StorageBackend,
    image: Image,
    thumbnails: Mapping[int, bytes] = STAND_INS,
) -> list[str]:
    """Publish thumbnails of an image, by size, name them in its row, and return their keys."""
    rendered_at = datetime.now(UTC)
    keys = thumbnail_keys(image.storage_key, thumbnails, rendered_at)
    for key, content in zip(keys, thumbnails.values(), strict=True):
        staged = await storage.stage(key, CONTENT_TYPE)
        await staged.write(content)
        await staged.publish()
    named = update(ImageRow).where(ImageRow.id == image.id)
    await session.execute(
        named.values(
            placeholder=b"placeholder",
            rendered_at=rendered_at,
            thumbnail_sizes=list(thumbnails),
            extracted={},
        )
    )
    return keys


async def put_rendition(
    database: Database, storage: StorageBackend, image_id: UUID, sizes: Sequence[int] = SIZES
) -> dict[int, bytes]:
    """Put thumbnails of an image in place, no two alike, and return their bytes by size."""
    thumbnails = {size: webp(size) for size in sizes}
    async with database.read() as session:
        image = (await find_images(session, [image_id]))[image_id]
    async with database.write() as session:
        await put_thumbnails(session, storage, image, thumbnails)
    return thumbnails


@contextmanager
def rendering_all(settings: Settings) -> Iterator[None]:
    """Put thumbnails of all images in place, also of those to come, whatever fails."""
    prepared, stop = threading.Event(), threading.Event()
    thumbnails = {size: webp(size) for size in settings.thumbnail_sizes}
    unrendered = select(ImageRow.id).where(ImageRow.rendered_at.is_(None))

    async def render() -> None:
        database = Database(settings.database_url.get_secret_value())
        storage = LocalStorage(settings.data_dir / "images")
        await storage.prepare()  # now: later it would make a folder that a test moved aside
        prepared.set()
        while not stop.is_set():
            with suppress(ImageHostError):
                async with database.read() as session:
                    images = await find_images(session, await session.scalars(unrendered))
                for image in images.values():
                    async with database.write() as session:
                        await put_thumbnails(session, storage, image, thumbnails)
            await asyncio.sleep(0.02)
        await storage.close()
        await database.close()

    thread = threading.Thread(target=asyncio.run, args=(render(),))
    thread.start()
    try:
        assert prepared.wait(TIMEOUT)
        yield
    finally:
        stop.set()
        thread.join()


def webp(size: int) -> bytes:
    """Make a WebP image of noise, so that no two are equal."""
    buffer = BytesIO()
    PillowImage.effect_noise((size, size * 3 // 4), 60).save(buffer, "WEBP")
    return buffer.getvalue()
