"""Statements on what rows say of their thumbnails."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import bindparam

from app.database.engine import WriteSession
from app.domain.image import Image
from app.models import IMAGES

_CLEAR: Final = (
    IMAGES.update()
    .where(IMAGES.c.id == bindparam("row_id"), IMAGES.c.rendered_at == bindparam("lost"))
    .values(rendered_at=None, thumbnail_sizes=None)
)


async def clear_renditions(session: WriteSession, images: Sequence[Image]) -> None:
    """Let rows name no thumbnails any more, as far as they still name the same as these images.

    In the order of the ids, so that no two transactions that do this at once deadlock.
    """
    rows = [
        {"row_id": image.id, "lost": image.rendered_at}
        for image in sorted(images, key=attrgetter("id"))
    ]
    if rows:
        await (await session.connection()).execute(_CLEAR, rows)
