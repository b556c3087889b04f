"""Statements of storage quotas: what the images of users are in all, and may be."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from app.database.engine import ReadSession, WriteSession
from app.domain.limits import StorageUse

LONGEST_HOLD: Final = timedelta(seconds=5)
"""After which the database ends an idle transaction that has changed what is used."""

Amount = tuple[int, int]
"""Bytes, and images."""

_COLUMNS: Final = "users.id, quota_bytes, quota_images, used_bytes, used_images"
# Locked in the order of the ids before any is changed, so that no two transactions wait for each
# other. The column is read again after the wait, so nothing that others have added is lost.
_ADD: Final = text(f"""
    WITH added AS MATERIALIZED (
        SELECT id, bytes, images
        FROM unnest(CAST(:ids AS uuid[]), CAST(:bytes AS bigint[]), CAST(:images AS integer[]))
                 AS added(id, bytes, images)
             JOIN users USING (id)
        ORDER BY id FOR NO KEY UPDATE OF users
    )
    UPDATE users SET used_bytes = used_bytes + added.bytes, used_images = used_images + added.images
    FROM added WHERE users.id = added.id
    RETURNING {_COLUMNS}, set_config('idle_in_transaction_session_timeout', :longest_hold, true)
""")  # noqa: S608 - our own
_FIND: Final = text(f"SELECT {_COLUMNS} FROM users WHERE id = ANY(:ids)")  # noqa: S608 - our own
_TRUE: Final = """
    coalesce(sum(images.file_size), 0)::bigint AS bytes, count(images.id)::integer AS images
"""
_FIND_WRONG: Final = text(f"""
    SELECT users.id, {_TRUE}
    FROM users LEFT JOIN images ON images.owner_id = users.id
    GROUP BY users.id
    HAVING users.used_bytes <> coalesce(sum(images.file_size), 0)
        OR users.used_images <> count(images.id)
    ORDER BY users.id
""")  # noqa: S608 - our own
_LOCK: Final = text("SELECT FROM users WHERE id = :id FOR NO KEY UPDATE")
_CORRECT: Final = text(f"""
    UPDATE users SET used_bytes = counted.bytes, used_images = counted.images
    FROM (SELECT {_TRUE} FROM images WHERE owner_id = :id) AS counted
    WHERE users.id = :id AND (used_bytes, used_images) <> (counted.bytes, counted.images)
    RETURNING users.id
""")  # noqa: S608 - our own


async def add_use(session: WriteSession, added: Mapping[UUID, Amount]) -> dict[UUID, StorageUse]:
    """Add to what users use, in the transaction that inserts or deletes the images.

    Others that do so for one of the same users wait until it ends.

    Returns:
        What each uses then; a user that there is not is left out.
    """
    parameters = {
        "ids": [*added],
        "bytes": [size for size, _ in added.values()],
        "images": [images for _, images in added.values()],
        "longest_hold": f"{LONGEST_HOLD.total_seconds():.3f}s",
    }
    rows = await session.execute(_ADD, parameters)
    return _by_id([row[:-1] for row in rows])


async def find_uses(session: ReadSession, user_ids: Iterable[UUID]) -> dict[UUID, StorageUse]:
    """Find what users use; a user that there is not is left out."""
    return _by_id((await session.execute(_FIND, {"ids": list(user_ids)})).all())


async def find_wrong_uses(session: ReadSession) -> dict[UUID, Amount]:
    """Find the users whose rows say something else than their images are; return what these are.

    One statement sees both at one time, so nothing that is in progress looks wrong.
    """
    return {row[0]: (row[1], row[2]) for row in await session.execute(_FIND_WRONG)}


async def correct_use(session: WriteSession, user_id: UUID) -> bool:
    """Record what the images of a user are; return whether something else was recorded.

    They are counted after the wait for the lock: by then whatever changes them has been committed.
    """
    await session.execute(_LOCK, {"id": user_id})
    return (await session.execute(_CORRECT, {"id": user_id})).first() is not None


def total_of(owned: Iterable[tuple[UUID | None, int]], sign: int = 1) -> dict[UUID, Amount]:
    """Sum up images by their owners: pairs of owner and bytes; what nobody owns is left out."""
    totals: dict[UUID, Amount] = {}
    for owner, size in owned:
        if owner:
            total_bytes, images = totals.get(owner, (0, 0))
            totals[owner] = total_bytes + sign * size, images + sign
    return totals


def _by_id(rows: Iterable[Sequence[Any]]) -> dict[UUID, StorageUse]:
    return {row[0]: StorageUse(*row[1:]) for row in rows}
