"""Statements on API keys."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import any_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.engine import ReadSession, WriteSession
from app.domain.actor import Scope, holder_of
from app.domain.user import ApiKey, KnownKey, NewKey, UserRole
from app.models import API_KEYS, USERS

_COLUMNS: Final = API_KEYS.c[ApiKey._fields]
_IS_VALID: Final = API_KEYS.c.revoked_at.is_(None) & or_(
    API_KEYS.c.expires_at.is_(None), API_KEYS.c.expires_at > func.now()
)
_PREFIXES: Final = bindparam("prefixes", type_=ARRAY(API_KEYS.c.prefix.type))
_KNOWN: Final = (
    select(
        *API_KEYS.c["prefix", "id", "digest", "scopes", "user_id"],
        (USERS.c.role == UserRole.ADMIN.value).label("is_administrator"),
    )
    .join_from(API_KEYS, USERS)
    .where(API_KEYS.c.prefix == any_(_PREFIXES), _IS_VALID, USERS.c.disabled_at.is_(None))
)


async def find_known_keys(session: ReadSession, prefixes: Collection[str]) -> dict[str, KnownKey]:
    """Find the keys that are valid now, by their prefixes; others are left out."""
    known = {}
    for row in await session.execute(_KNOWN, {"prefixes": [*prefixes]}):
        actor = holder_of(
            map(Scope, row.scopes), row.user_id, is_administrator=row.is_administrator
        )
        known[row.prefix] = KnownKey(row.id, row.digest, actor)
    return known


async def insert_key(
    session: WriteSession, user_id: UUID, new: NewKey, expires_in: timedelta | None
) -> ApiKey:
    """Insert a key of a user, which expires after a time or never; return it as it is stored."""
    values = {
        **new._asdict(),
        "user_id": user_id,
        "scopes": [scope.value for scope in new.scopes],
        "expires_at": None if expires_in is None else func.now() + expires_in,
    }
    statement = API_KEYS.insert().values(values).returning(*_COLUMNS)
    return _key((await session.execute(statement)).one())


async def lock_user(session: WriteSession, user_id: UUID) -> bool:
    """Let others that do this for the same user wait until this transaction ends.

    Returns:
        Whether there is such a user, who is not being deleted.
    """
    query = select(USERS.c.id).where(USERS.c.id == user_id, USERS.c.deletion.is_(None))
    return await session.scalar(query.with_for_update(key_share=True)) is not None


async def count_valid_keys(session: WriteSession, user_id: UUID) -> int:
    """Count the keys of a user that are valid now."""
    query = select(func.count()).where(API_KEYS.c.user_id == user_id, _IS_VALID)
    return (await session.scalars(query)).one()


async def prune_keys(session: WriteSession, user_id: UUID, most: int) -> None:
    """Delete keys of a user that are not valid any more, but the newest of these."""
    old = select(API_KEYS.c.id).where(API_KEYS.c.user_id == user_id, ~_IS_VALID)
    old = old.order_by(API_KEYS.c.created_at.desc()).offset(most)
    await session.execute(API_KEYS.delete().where(API_KEYS.c.id.in_(old)))


async def list_keys(session: ReadSession, user_id: UUID) -> list[ApiKey]:
    """Read the keys of a user, the newest first."""
    query = select(*_COLUMNS).where(API_KEYS.c.user_id == user_id)
    rows = await session.execute(query.order_by(API_KEYS.c.created_at.desc(), API_KEYS.c.id))
    return [_key(row) for row in rows]


async def revoke_key(session: WriteSession, prefix: str, user_id: UUID | None) -> bool:
    """Revoke a key, or do nothing if that has been done; return whether there is one.

    Args:
        session: The transaction.
        prefix: How it begins.
        user_id: Whose it must be; None = anybody's.
    """
    statement = API_KEYS.update().where(API_KEYS.c.prefix == prefix)
    if user_id is not None:
        statement = statement.where(API_KEYS.c.user_id == user_id)
    revoked_at = func.coalesce(API_KEYS.c.revoked_at, func.now())
    statement = statement.values(revoked_at=revoked_at)
    return await session.scalar(statement.returning(API_KEYS.c.id)) is not None


async def record_use(
    session: WriteSession, ids: Collection[UUID], unless_within: timedelta
) -> None:
    """Record that keys are used now, except where that is recorded for a short time ago.

    Those that somebody else has locked are left out.
    """
    last_used_at = API_KEYS.c.last_used_at
    stale = (
        select(API_KEYS.c.id)
        .where(
            API_KEYS.c.id == any_(bindparam("ids", [*ids], ARRAY(API_KEYS.c.id.type))),
            or_(last_used_at.is_(None), last_used_at < func.now() - unless_within),
        )
        .with_for_update(skip_locked=True)
    )
    statement = API_KEYS.update().where(API_KEYS.c.id.in_(stale))
    await session.execute(statement.values(last_used_at=func.now()))


def _key(row: Sequence[Any]) -> ApiKey:
    key = ApiKey(*row)
    return key._replace(scopes=[Scope(scope) for scope in key.scopes])
