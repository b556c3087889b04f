"""Users and their API keys, as tests need them."""

from typing import NamedTuple
from uuid import uuid4

from app.database.engine import Database
from app.domain.actor import Actor, Scope, holder_of
from app.domain.user import DEFAULT_SCOPES, User, UserRole
from app.services.keys import Keys
from app.services.secrets import Secrets
from app.services.users import Users


class Holder(NamedTuple):
    """A user, and an API key of theirs."""

    user: User
    key: str
    scopes: tuple[Scope, ...]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def actor(self) -> Actor:
        """As whom the services know whoever has the key."""
        is_administrator = self.user.role is UserRole.ADMIN
        return holder_of(self.scopes, self.user.id, is_administrator=is_administrator)


async def make_user(
    database: Database,
    role: UserRole = UserRole.USER,
    *,
    email: str = "",
    quota_bytes: int | None = None,
    quota_images: int | None = None,
) -> User:
    """Add a user; with an email that no other has, unless it is given."""
    email = email or f"{uuid4().hex}@example.org"
    return await Users(database).add(email, role, quota_bytes, quota_images)


async def make_key(
    database: Database,
    *scopes: Scope,
    user: User | None = None,
    role: UserRole = UserRole.USER,
) -> Holder:
    """Create a key with the usual scopes, or with these; of a new user, unless one is given."""
    user = user or await make_user(database, role)
    scopes = scopes or DEFAULT_SCOPES
    created = await Keys(database, Secrets(database)).create(user.id, scopes)
    return Holder(user, created.key, scopes)
