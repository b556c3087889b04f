"""Thumbnails without a worker: what one leaves in the row and in the storage."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text

from app.database.engine import WriteSession
from app.domain.image import Image
from app.domain.thumbnails import thumbnail_keys
from app.storage.base import StorageBackend

SIZES = (150, 300, 800)
WEBP = b"RIFF: a thumbnail, as far as the storage knows"


async def put_thumbnails(
    session: WriteSession, storage: StorageBackend, image: Image, sizes: Sequence[int] = SIZES
) -> list[str]:
    """Publish an image's thumbnails, name them in its row, and return their keys."""
    rendered_at = datetime.now(UTC)
    keys = thumbnail_keys(image.storage_key, sizes, rendered_at)
    for key in keys:
        staged = await storage.stage(key, "image/webp")
        await staged.write(WEBP)
        await staged.publish()
    await session.execute(
        text("UPDATE images SET rendered_at = :at, thumbnail_sizes = :sizes WHERE id = :id"),
        {"at": rendered_at, "sizes": list(sizes), "id": image.id},
    )
    return keys
