"""Thumbnails in place, as a worker leaves them, and the jobs that ask one for them."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from uuid import UUID

from PIL import Image as PillowImage
from sqlalchemy import select, text, update
from sqlalchemy.exc import NoResultFound

from app.config.settings import Settings
from app.database.engine import Database
from app.domain.errors import ImageHostError
from app.domain.thumbnails import CONTENT_TYPE, thumbnail_key
from app.models import ImageRow
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage

SIZES = (150, 300, 800)


async def put_rendition(
    database: Database,
    storage: StorageBackend,
    image_id: UUID,
    sizes: Sequence[int] = SIZES,
    make: Callable[[int], bytes] | None = None,
) -> dict[int, bytes]:
    """Publish thumbnails of an image, let its row name them, and return their bytes by size."""
    rendered_at = datetime.now(UTC)
    thumbnails = {size: (make or webp)(size) for size in sizes}
    async with database.write() as session:
        storage_key = (
            await session.scalars(select(ImageRow.storage_key).where(ImageRow.id == image_id))
        ).one()
        for size, content in thumbnails.items():
            key = thumbnail_key(storage_key, size, rendered_at)
            staged = await storage.stage(key, CONTENT_TYPE)
            await staged.write(content)
            await staged.publish()
        await session.execute(
            update(ImageRow)
            .where(ImageRow.id == image_id)
            .values(
                placeholder=b"placeholder", rendered_at=rendered_at, thumbnail_sizes=list(sizes)
            )
        )
    return thumbnails


@contextmanager
def rendering_all(settings: Settings) -> Iterator[None]:
    """Put thumbnails of all images in place, also of those to come, whatever fails meanwhile."""
    stop = threading.Event()
    make = cache(webp)
    unrendered = select(ImageRow.id).where(ImageRow.rendered_at.is_(None))

    async def render() -> None:
        database = Database(settings.database_url.get_secret_value())
        storage = LocalStorage(settings.data_dir / "images")
        while not stop.is_set():
            with suppress(ImageHostError, NoResultFound):
                async with database.read() as session:
                    image_ids = list(await session.scalars(unrendered))
                for image_id in image_ids:
                    await put_rendition(database, storage, image_id, settings.thumbnail_sizes, make)
            await asyncio.sleep(0.02)
        await storage.close()
        await database.close()

    thread = threading.Thread(target=asyncio.run, args=(render(),))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def webp(size: int) -> bytes:
    """Make a WebP image of noise, so that no two are equal."""
    buffer = BytesIO()
    PillowImage.effect_noise((size, size * 3 // 4), 60).save(buffer, "WEBP")
    return buffer.getvalue()


async def queued_subjects(database: Database) -> list[str]:
    """Return the ids of the images that are queued to be rendered at once, in any order."""
    async with database.read() as session:
        query = text(
            "SELECT args->>'subject' FROM procrastinate_jobs "
            "WHERE task_name = 'render' AND priority = 10"
        )
        return list(await session.scalars(query))
