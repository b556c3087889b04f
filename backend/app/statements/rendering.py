"""Statements on what rows say of their thumbnails and metadata."""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, func

from app.database.engine import WriteSession
from app.domain.image import Image
from app.domain.metadata import Metadata
from app.models import IMAGES
from app.statements.search import renewed_search


class Rendered(NamedTuple):
    """What rendering has found out and made, by the names of the columns."""

    width: int
    height: int
    placeholder: bytes
    rendered_at: datetime
    thumbnail_sizes: Sequence[int]
    metadata: Metadata | None
    """None if it is not extracted."""


_ROW: Final = IMAGES.c.id == bindparam("row_id")
_SAME_FILE: Final = IMAGES.c.storage_key == bindparam("key")
"""Or else thumbnails that were made are those of files which the image has no more."""
_UNCHANGED: Final = IMAGES.c.rendered_at.is_not_distinct_from(bindparam("previously"))
_NEW: Final = {
    name: bindparam(f"new_{name}", type_=IMAGES.c[name].type)
    for name in (*Rendered._fields, "render_error", "search")
}
_KNOWN: Final = {
    name: func.coalesce(IMAGES.c[name], _NEW[name]) for name in ("width", "height", "metadata")
}
"""What a row has once stays."""
_RENDERED: Final = (
    IMAGES.update().where(_ROW, _SAME_FILE, _UNCHANGED).values(_NEW | _KNOWN).returning(IMAGES.c.id)
)
_CLEAR: Final = (
    IMAGES.update()
    .where(_ROW, _SAME_FILE, IMAGES.c.rendered_at == bindparam("lost"))
    .values(rendered_at=None, thumbnail_sizes=None)
)
_EXTRACTED: Final = (
    IMAGES.update().where(_ROW).values(metadata=_KNOWN["metadata"], search=_NEW["search"])
)
_FAILED: Final = _EXTRACTED.values(render_error=_NEW["render_error"])


async def record_rendition(session: WriteSession, image: Image, rendered: Rendered) -> bool:
    """Let a row name new thumbnails, if it still names the files that `image` does.

    Returns:
        Whether it did; not where the image was deleted, rendered by another worker, or made private
        or public.
    """
    parameters: dict[str, Any] = {
        "row_id": image.id,
        "key": image.storage_key,
        "previously": image.rendered_at,
    }
    parameters |= {f"new_{name}": value for name, value in rendered._asdict().items()}
    parameters["new_render_error"] = None
    parameters |= await _new_search(session, image.id, rendered.metadata)
    return await session.scalar(_RENDERED, parameters) is not None


async def record_metadata(session: WriteSession, image_id: UUID, metadata: Metadata) -> None:
    """Record what was extracted, if that is not recorded yet."""
    search = await _new_search(session, image_id, metadata)
    await session.execute(_EXTRACTED, {"row_id": image_id, "new_metadata": metadata} | search)


async def record_render_error(
    session: WriteSession, image_id: UUID, sentence: str, metadata: Metadata
) -> None:
    """Record why an image cannot be rendered, and its metadata. Thumbnails that it has stay."""
    found = {"row_id": image_id, "new_render_error": sentence, "new_metadata": metadata}
    search = await _new_search(session, image_id, metadata)
    await session.execute(_FAILED, found | search)


async def clear_renditions(session: WriteSession, images: Sequence[Image]) -> None:
    """Let rows name no thumbnails, where they still name those that these images do.

    In the order of the ids, so that no two transactions that do this at once deadlock.
    """
    rows = [
        {"row_id": image.id, "key": image.storage_key, "lost": image.rendered_at}
        for image in sorted(images, key=attrgetter("id"))
    ]
    if rows:
        await (await session.connection()).execute(_CLEAR, rows)


async def _new_search(
    session: WriteSession, image_id: UUID, metadata: Metadata | None
) -> dict[str, str | None]:
    return {"new_search": await renewed_search(session, image_id, metadata=metadata)}
