"""API keys: made, listed and revoked."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from app.database.engine import Database
from app.domain.actor import ADMINISTRATOR, Actor, Right, Scope
from app.domain.user import DEFAULT_SCOPES, ApiKey, NewKey, is_prefix, new_key, new_prefix
from app.domain.user_errors import KeyNotFound, TooManyKeys, UserNotFound, UserNotNamed
from app.services.secrets import Purpose, Secrets, digest_of
from app.statements.keys import (
    count_valid_keys,
    insert_key,
    list_keys,
    lock_user,
    prune_keys,
    revoke_key,
)
from app.statements.users import find_user

MAX_KEYS: Final = 100
"""Valid keys of a user; as many that are not valid any more are kept to be listed."""


class CreatedKey(NamedTuple):
    """A new key, and what is never seen again: all of it."""

    described: ApiKey
    key: str


class Keys:
    """The API keys of users.

    Args:
        database: Where they are.
        secrets: What they are digested with.
    """

    def __init__(self, database: Database, secrets: Secrets) -> None:
        self._database = database
        self._secrets = secrets

    async def create(
        self,
        user_id: UUID | None,
        scopes: Collection[Scope] = DEFAULT_SCOPES,
        expires_in: timedelta | None = None,
        actor: Actor = ADMINISTRATOR,
    ) -> CreatedKey:
        """Create a key of a user, the actor's own for None; expiring after a time, or never.

        Raises:
            UserNotNamed: If neither the actor is a user.
            UserNotFound: If there is no such user for the actor, or they are being deleted.
            TooManyKeys: If they have `MAX_KEYS`.
            DatabaseUnavailable: If it cannot be stored, or it is unknown whether it was.
        """
        owner, prefix = _whose(user_id, actor), new_prefix()
        key = new_key(prefix)
        digest = digest_of(await self._secrets.key(Purpose.API_KEYS), key.encode())
        new = NewKey(uuid4(), prefix, digest, [*dict.fromkeys(scopes)])
        async with self._database.write() as session:
            if not await lock_user(session, owner):
                raise UserNotFound(owner)
            if await count_valid_keys(session, owner) >= MAX_KEYS:
                raise TooManyKeys(MAX_KEYS)
            await prune_keys(session, owner, MAX_KEYS)
            described = await insert_key(session, owner, new, expires_in)
        return CreatedKey(described, key)

    async def of(self, user_id: UUID | None, actor: Actor = ADMINISTRATOR) -> Sequence[ApiKey]:
        """Return the keys of a user, the actor's own for None; the newest first.

        Raises:
            UserNotNamed: If neither the actor is a user.
            UserNotFound: If there is no such user for the actor.
            DatabaseUnavailable: If they cannot be read.
        """
        owner = _whose(user_id, actor)
        async with self._database.read() as session:
            if await find_user(session, owner) is None:
                raise UserNotFound(owner)
            return await list_keys(session, owner)

    async def revoke(self, prefix: str, actor: Actor = ADMINISTRATOR) -> None:
        """Revoke a key: no process accepts it any more a second later.

        Raises:
            KeyNotFound: If no key begins so that is the actor's to revoke.
            DatabaseUnavailable: If it cannot be revoked, or it is unknown whether it was.
        """
        if not is_prefix(prefix):
            raise KeyNotFound
        owner = None if Right.ADMIN in actor.rights else actor.user_id
        async with self._database.write_alone() as session:
            if not await revoke_key(session, prefix, owner):
                raise KeyNotFound


def _whose(user_id: UUID | None, actor: Actor) -> UUID:
    """Return the user whose keys an actor manages."""
    user_id = user_id or actor.user_id
    if user_id is None:
        raise UserNotNamed
    if user_id != actor.user_id and Right.ADMIN not in actor.rights:
        raise UserNotFound(user_id)
    return user_id
