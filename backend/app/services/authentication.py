"""Who has sent an API key."""

import hmac
from collections.abc import Sequence
from time import monotonic
from typing import Final

from app.database.engine import Database
from app.domain.actor import ADMINISTRATOR, ANONYMOUS, Access, Actor
from app.domain.errors import DatabaseUnavailable
from app.domain.user import KnownKey, prefix_of
from app.domain.user_errors import InvalidKey
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.runtime.expiring import ExpiringMap
from app.services.last_used import LastUsed
from app.services.secrets import Purpose, Secrets, is_digest_of
from app.statements.keys import find_known_keys

REMEMBERED: Final = 10_000
REMEMBERED_SECONDS: Final = 0.9
"""How many keys are remembered, and for how long since the database was asked: a key that is
revoked, and those of a user who is disabled, are accepted for less than a second more."""


class Authentication:
    """Finds out who has sent a key.

    Args:
        database: Has the keys of users.
        secrets: What they are digested with.
        api_key: The administrator's key; empty = there is none.
        access: What somebody without a key may do.
    """

    def __init__(
        self,
        database: Database,
        secrets: Secrets,
        api_key: str,
        access: Access,
        observer: Observer = SILENT,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._api_key = api_key.encode()
        self._known = ExpiringMap[str, KnownKey](REMEMBERED, REMEMBERED_SECONDS)
        self._lookups = Batcher("keys", self._find, refusal=DatabaseUnavailable, observer=observer)
        self._last_used = LastUsed(database)
        self.anonymous = ANONYMOUS[access]
        """Whoever has sent no key."""

    async def actor_of(self, key: str) -> Actor:
        """Return whose key this is; those that are asked for at the same time share a statement.

        Raises:
            InvalidKey: If it is nobody's, has expired or was revoked, or its user is disabled.
            DatabaseUnavailable: If that cannot be found out.
        """
        sent = key.encode()
        if self._api_key and hmac.compare_digest(sent, self._api_key):
            return ADMINISTRATOR
        prefix = prefix_of(key)
        if prefix is None:
            raise InvalidKey
        known = self._known.get(prefix) or await self._look_up(prefix)
        if not is_digest_of(await self._secrets.key(Purpose.API_KEYS), sent, known.digest):
            raise InvalidKey
        self._last_used.note(known.id)
        return known.actor

    async def close(self) -> None:
        """Write which keys were last used, and cancel a statement that is in progress."""
        await self._lookups.drain(0)
        await self._last_used.close()

    async def _look_up(self, prefix: str) -> KnownKey:
        asked_at = monotonic()
        known = await self._lookups.submit(prefix)
        if known is None:
            raise InvalidKey
        return self._known.put(prefix, known, asked_at)

    async def _find(self, prefixes: Sequence[str]) -> Sequence[KnownKey | None]:
        async with self._database.read() as session:
            found = await find_known_keys(session, {*prefixes})
        return [found.get(prefix) for prefix in prefixes]
