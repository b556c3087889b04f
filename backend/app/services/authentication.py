"""Who has sent an API key."""

import secrets

from app.domain.actor import ADMINISTRATOR, ANONYMOUS, Access, Actor
from app.domain.errors import InvalidKey


class Authentication:
    """Finds out who has sent a key.

    Args:
        api_key: The administrator's key; empty = there is none.
        access: What somebody without a key may do.
    """

    def __init__(self, api_key: str, access: Access) -> None:
        self._api_key = api_key.encode()
        self.anonymous = ANONYMOUS[access]
        """Whoever has sent no key."""

    async def actor_of(self, key: str) -> Actor:
        """Return whose key this is.

        Raises:
            InvalidKey: If it is nobody's.
            DatabaseUnavailable: If that cannot be found out.
        """
        if self._api_key and secrets.compare_digest(key.encode(), self._api_key):
            return ADMINISTRATOR
        raise InvalidKey
