"""Statements on users."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, null, select
from sqlalchemy.dialects.postgresql import insert

from app.database.engine import ReadSession, WriteSession
from app.domain.user import Deletion, User, UserChanges, UserRole
from app.models import IMAGES, USERS
from app.statements.storage_use import add_use, total_of

_COLUMNS: Final = USERS.c[User._fields]
_EMAIL: Final = func.lower(USERS.c.email)
_DISABLED_AT: Final = func.coalesce(USERS.c.disabled_at, func.now())


async def insert_user(session: WriteSession, values: Mapping[str, Any]) -> User | None:
    """Insert a user; return them as they are stored, None if there is one with this email."""
    statement = insert(USERS).values(values).on_conflict_do_nothing(index_elements=[_EMAIL])
    return _user((await session.execute(statement.returning(*_COLUMNS))).one_or_none())


async def find_user(session: ReadSession | WriteSession, user: UUID | str) -> User | None:
    """Find a user by their id, or by their email, of which the case does not matter."""
    is_it = USERS.c.id == user if isinstance(user, UUID) else func.lower(user) == _EMAIL
    return _user((await session.execute(select(*_COLUMNS).where(is_it))).one_or_none())


async def list_users(session: ReadSession, limit: int, after: str = "") -> list[User]:
    """Read up to `limit` users in the order of their emails, those after an email."""
    query = select(*_COLUMNS).where(func.lower(after) < _EMAIL).order_by(_EMAIL).limit(limit)
    rows = await session.execute(query)
    return [user for row in rows if (user := _user(row))]


async def change_user(session: WriteSession, user_id: UUID, changes: UserChanges) -> User | None:
    """Change a user; return them as they are then.

    Returns:
        None if there is none with this id, or they are being deleted.
    """
    values: dict[str, Any] = {**changes}
    disabled = values.pop("disabled", None)
    if disabled is not None:
        values["disabled_at"] = _DISABLED_AT if disabled else null()
    statement = USERS.update().where(USERS.c.id == user_id, USERS.c.deletion.is_(None))
    changed = await session.execute(statement.values(values).returning(*_COLUMNS))
    return _user(changed.one_or_none())


async def begin_deletion(session: WriteSession, user_id: UUID, images: Deletion) -> User | None:
    """Disable a user, and record what is to become of their images; None if there is none."""
    statement = USERS.update().where(USERS.c.id == user_id)
    statement = statement.values(deletion=images.value, disabled_at=_DISABLED_AT)
    return _user((await session.execute(statement.returning(*_COLUMNS))).one_or_none())


async def find_owned(session: ReadSession | WriteSession, owner: UUID, limit: int) -> list[UUID]:
    """Read the ids of up to `limit` images of a user, the newest first."""
    query = select(IMAGES.c.id).where(IMAGES.c.owner_id == owner)
    query = query.order_by(IMAGES.c.created_at.desc(), IMAGES.c.id.desc()).limit(limit)
    return [*await session.scalars(query)]


async def disown_images(session: WriteSession, owner: UUID, image_ids: Sequence[UUID]) -> None:
    """Let images of a user, who uses less from now on, be nobody's.

    The rows are locked in the order of their ids, and then that of the user, so that no two
    transactions that change them at once deadlock.
    """
    locked = select(IMAGES.c.id).where(IMAGES.c.id.in_(image_ids), IMAGES.c.owner_id == owner)
    locked = locked.order_by(IMAGES.c.id).with_for_update()
    statement = IMAGES.update().where(IMAGES.c.id.in_(locked)).values(owner_id=None)
    sizes = await session.scalars(statement.returning(IMAGES.c.file_size))
    if freed := total_of(((owner, size) for size in sizes), -1):
        await add_use(session, freed)


async def delete_user(session: WriteSession, user_id: UUID) -> bool:
    """Delete a user with their keys, unless an image is theirs; return whether there is none."""
    await session.execute(select(USERS.c.id).where(USERS.c.id == user_id).with_for_update())
    if await find_owned(session, user_id, 1):
        return False
    await session.execute(USERS.delete().where(USERS.c.id == user_id))
    return True


def _user(row: Sequence[Any] | None) -> User | None:
    if row is None:
        return None
    user = User(*row)
    return user._replace(
        role=UserRole(user.role), deletion=user.deletion and Deletion(user.deletion)
    )
