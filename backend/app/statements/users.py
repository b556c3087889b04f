"""Statements on users."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, null, select
from sqlalchemy.dialects.postgresql import insert

from app.database.engine import ReadSession, WriteSession
from app.domain.user import Deletion, User, UserChanges, UserRole
from app.models import USERS

_COLUMNS: Final = USERS.c[User._fields]
_EMAIL: Final = func.lower(USERS.c.email)


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
        values["disabled_at"] = (
            func.coalesce(USERS.c.disabled_at, func.now()) if disabled else null()
        )
    statement = USERS.update().where(USERS.c.id == user_id, USERS.c.deletion.is_(None))
    changed = await session.execute(statement.values(values).returning(*_COLUMNS))
    return _user(changed.one_or_none())


def _user(row: Sequence[Any] | None) -> User | None:
    if row is None:
        return None
    user = User(*row)
    return user._replace(
        role=UserRole(user.role), deletion=user.deletion and Deletion(user.deletion)
    )
