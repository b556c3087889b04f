"""API keys: how they are made, recognised, revoked, and what is stored of them."""

from app.database.engine import Database
from app.domain.actor import Actor, Right, Scope
from app.services.use_cases import Services
from testkit.keys import make_key


async def test_a_key_is_of_its_user_and_for_its_scopes(
    services: Services, database: Database
) -> None:
    holder = await make_key(database, Scope.READ, Scope.WRITE)
    actor = await services.authentication.actor_of(holder.key)
    rights = frozenset({Right.READ, Right.UPLOAD, Right.WRITE})
    assert actor == Actor(rights, holder.user.id) == holder.actor
