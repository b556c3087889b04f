"""What a call may be made by: each route that is not for everybody says so."""

from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app.api.context import ContextDep
from app.domain.actor import Actor, Right

_bearer = HTTPBearer(auto_error=False, description="An API key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same.")


def needs(right: Right) -> Any:  # noqa: ANN401 - as FastAPI's Depends
    """Return the dependency of a route that is for actors with a right; its value is the actor.

    It raises:
        InvalidKey: If the sender has none, and no key.
        MissingScope: If their key is not for this.
        AdministratorsOnly: If it is, but its user is no administrator.
    """

    async def check(
        context: ContextDep,
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        _header: Annotated[str | None, Depends(_header)],
    ) -> Actor:
        return await context.require(right)

    return Depends(check)


Uploader = Annotated[Actor, needs(Right.UPLOAD)]
Reader = Annotated[Actor, needs(Right.READ)]
Writer = Annotated[Actor, needs(Right.WRITE)]
Deleter = Annotated[Actor, needs(Right.DELETE)]
KeyManager = Annotated[Actor, needs(Right.KEYS)]
Administrator = Annotated[Actor, needs(Right.ADMIN)]
