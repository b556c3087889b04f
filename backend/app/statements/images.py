"""Statements of the use cases on images: insert, find, rename, delete."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Executable, Select, any_, bindparam, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.engine import ReadSession, WriteSession
from app.domain.image import Image, ImageDetails, NewImage
from app.domain.job import RENDER, SHARE, Priority
from app.domain.metadata import clean
from app.domain.thumbnails import thumbnail_keys
from app.models import IMAGES
from app.statements.jobs import TRACES, job_for_each
from app.statements.search import renewed_search, search_of
from app.statements.storage_use import add_use, total_of

_COLUMNS: Final = IMAGES.c[Image._fields]
_IDS: Final = bindparam("ids", type_=ARRAY(IMAGES.c.id.type))
_BY_IDS: Final = select(*_COLUMNS).where(IMAGES.c.id == any_(_IDS))
_DETAILS_BY_IDS: Final = _BY_IDS.add_columns(IMAGES.c.metadata)
_OWNER: Final = bindparam("owner", type_=IMAGES.c.owner_id.type)
_EQUAL: Final = (
    select(*_COLUMNS)
    .where(
        IMAGES.c.checksum == bindparam("sum"),
        IMAGES.c.owner_id.is_not_distinct_from(_OWNER),
        IMAGES.c.is_public == bindparam("public"),
    )
    .order_by(IMAGES.c.created_at.desc(), IMAGES.c.id.desc())
    .limit(1)
)
_RENAME: Final = (
    IMAGES.update()
    .where(IMAGES.c.id == bindparam("image_id"))
    .values(
        filename=bindparam("new_filename"),
        search=bindparam("new_search", type_=IMAGES.c.search.type),
        updated_at=func.now(),
    )
    .returning(*_COLUMNS)
)
_REPUBLISH: Final = (
    IMAGES.update()
    .where(
        IMAGES.c.id == bindparam("image_id"),
        IMAGES.c.storage_key == bindparam("old_key"),
        IMAGES.c.rendered_at.is_not_distinct_from(bindparam("old_rendered_at")),
    )
    .values(
        storage_key=bindparam("new_key"),
        is_public=bindparam("new_is_public"),
        updated_at=func.now(),
    )
    .returning(*_COLUMNS)
)
_LOCKED: Final = (
    select(IMAGES.c.id)
    .where(IMAGES.c.id == any_(_IDS), or_(_OWNER.is_(None), IMAGES.c.owner_id == _OWNER))
    .order_by(IMAGES.c.id)
    .with_for_update()
)
_DELETE: Final = (
    IMAGES.delete()
    .where(IMAGES.c.id.in_(_LOCKED))
    .returning(
        *IMAGES.c["owner_id", "file_size", "id", "storage_key", "thumbnail_sizes", "rendered_at"]
    )
)

NO_TASKS: Final = frozenset[str]()

INSERTED: Final = (*NewImage._fields, "search")
"""The columns of new rows."""
INCOMING: Final = [bindparam(name, type_=ARRAY(IMAGES.c[name].type)) for name in INSERTED]
"""New rows as parameters of a statement: an array for each column, for any number of rows."""


def insertions(rows: Select[Any]) -> dict[frozenset[str], Executable]:
    """Return the statements that insert the rows of a query with the columns `INSERTED`.

    Args:
        rows: The query.

    Returns:
        By the tasks for which each also inserts jobs, which costs less than a second one.
    """
    statement = IMAGES.insert().from_select(INSERTED, rows, include_defaults=False)
    statement = statement.returning(*_COLUMNS)
    stored = statement.cte("stored")
    # Rows of the same statement are not among the images yet.
    earlier = stored.alias("earlier")
    has_equal = or_(
        exists().where(IMAGES.c.checksum == stored.c.checksum),
        exists().where(earlier.c.checksum == stored.c.checksum, earlier.c.id < stored.c.id),
    )
    jobs = {
        RENDER: job_for_each(RENDER, select(stored.c.id)),
        SHARE: job_for_each(SHARE, select(stored.c.id).where(has_equal), Priority.BACKLOG),
    }
    return {NO_TASKS: statement} | {
        frozenset(tasks): select(*stored.c).add_cte(*(jobs[task] for task in tasks))
        for tasks in ({RENDER}, {SHARE}, {RENDER, SHARE})
    }


def columns_of(images: Sequence[NewImage]) -> dict[str, list[Any]]:
    """Return the values of `INCOMING`."""
    columns = dict(zip(NewImage._fields, map(list, zip(*images, strict=True)), strict=True))
    return columns | {"search": [search_of(image.filename, None) for image in images]}


_ROWS: Final = select(func.unnest(*INCOMING).table_valued(*INSERTED).render_derived())
_INSERT: Final = insertions(_ROWS)


async def insert_images(
    session: WriteSession,
    images: Sequence[NewImage],
    tasks: frozenset[str] = NO_TASKS,
    traces: Mapping[UUID, str] = {},
) -> dict[UUID, Image]:
    """Insert rows, with jobs of some tasks; return them as they are stored.

    Those of `SHARE` only where there are equal images.

    Args:
        session: A transaction.
        images: The rows.
        tasks: Of the jobs.
        traces: Which the jobs of some images are part of.
    """
    parameters = columns_of(images) | traces_of(tasks, traces)
    return images_by_id(await session.execute(_INSERT[tasks], parameters))


def traces_of(tasks: frozenset[str], traces: Mapping[UUID, str]) -> dict[str, Any]:
    """Return the parameter of a statement of `insertions` that has the traces of its jobs."""
    return {TRACES: {str(image_id): trace for image_id, trace in traces.items()}} if tasks else {}


async def find_equal(
    session: ReadSession, checksum: bytes, owner_id: UUID | None, *, is_public: bool
) -> Image | None:
    """Find the newest image with these bytes, of an owner or of nobody, and public or private."""
    parameters = {"sum": checksum, "owner": owner_id, "public": is_public}
    found = images_by_id(await session.execute(_EQUAL, parameters))
    return next(iter(found.values()), None)


async def find_images(session: ReadSession, image_ids: Iterable[UUID]) -> dict[UUID, Image]:
    """Find rows by their ids; an id that no row has is left out."""
    return images_by_id(await session.execute(_BY_IDS, {"ids": list(image_ids)}))


async def find_details(session: ReadSession, image_ids: Iterable[UUID]) -> dict[UUID, ImageDetails]:
    """Find rows with their metadata by their ids; an id that no row has is left out.

    The database holds any JSON, which another version or a person may have written; see `clean`.
    """
    rows = await session.execute(_DETAILS_BY_IDS, {"ids": list(image_ids)})
    return {
        row[0]: ImageDetails(Image(*row[:-1]), None if row[-1] is None else clean(row[-1]))
        for row in rows
    }


async def rename_image(session: WriteSession, image_id: UUID, filename: str) -> Image | None:
    """Change the file name of a row; return the image as it is then, None if there is no row."""
    search = await renewed_search(session, image_id, filename=filename)
    parameters = {"image_id": image_id, "new_filename": filename, "new_search": search}
    return images_by_id(await session.execute(_RENAME, parameters)).get(image_id)


async def republish_image(
    session: WriteSession, image: Image, key: str, *, is_public: bool
) -> Image | None:
    """Let a row name files under another key, and change its visibility.

    Returns:
        The image as it is then; None if its row no longer names the files that `image` does.
    """
    parameters = {
        "image_id": image.id,
        "old_key": image.storage_key,
        "old_rendered_at": image.rendered_at,
        "new_key": key,
        "new_is_public": is_public,
    }
    return images_by_id(await session.execute(_REPUBLISH, parameters)).get(image.id)


async def delete_images(
    session: WriteSession, image_ids: Iterable[UUID], owner: UUID | None = None
) -> dict[UUID, list[str]]:
    """Delete rows by their ids; return the keys of their files, the original's first.

    An id that no row has is left out, as is one of another owner, if an owner is given.
    The rows are locked in the order of the ids, then those of their owners, who use less from now
    on, in the order of theirs, so that no two transactions that do this at once deadlock.
    """
    rows = (await session.execute(_DELETE, {"ids": list(image_ids), "owner": owner})).all()
    if freed := total_of(((row[0], row[1]) for row in rows), -1):
        await add_use(session, freed)
    return {row[2]: [row[3], *thumbnail_keys(*row[3:])] for row in rows}


def images_by_id(rows: Iterable[Sequence[Any]]) -> dict[UUID, Image]:
    """Return what a statement found that returns the columns of `Image`."""
    return {row[0]: Image(*row) for row in rows}
