"""What a call may be made by: each route that is not for everybody says so."""

from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from app.api.context import ContextDep
from app.domain.actor import Actor, Right

_BEARER: Final = HTTPBearer(auto_error=False, description="An API key.")
_HEADER: Final = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same.")
DELETE_TOKEN: Final = APIKeyHeader(
    name="X-Delete-Token",
    scheme_name="DeleteToken",
    auto_error=False,
    description="The `delete_token` of the image, which the answer to its upload has.",
)

# These describe how a key is sent; `Context` has read it.
_Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
_Header = Annotated[str | None, Depends(_HEADER)]


@dataclass(frozen=True)
class Needs:
    """The dependency of a route that is for actors with a right; its value is the actor."""

    right: Right

    async def __call__(self, context: ContextDep, _bearer: _Bearer, _header: _Header) -> Actor:
        """Return who has sent the request.

        Raises:
            InvalidKey: If they have no such right, and have sent no key, or one that is nobody's.
            MissingScope: If their key is not for this.
            AdministratorsOnly: If it is, but its user is no administrator.
            DatabaseUnavailable: If it cannot be found out whose key it is.
        """
        return await context.require(self.right)


async def _require_deletion(
    image_id: UUID,
    context: ContextDep,
    _bearer: _Bearer,
    _header: _Header,
    token: Annotated[str | None, Depends(DELETE_TOKEN)],
) -> Actor:
    """Return who may delete an image: of its token, if one was sent, whoever has it.

    Raises:
        ImageNotFound: If the token is not that of the image.
        ImageHostError: As `Needs`.
    """
    if token is None:
        return await context.require(Right.DELETE)
    return await context.token_holder(image_id, token)


async def _require_key(context: ContextDep, _bearer: _Bearer, _header: _Header) -> Actor:
    """Return whose API key was sent, whatever it is for.

    Raises:
        InvalidKey: If there is none, or it is nobody's.
        DatabaseUnavailable: As `Needs`.
    """
    return await context.holder()


MAY_HAVE_KEY: Final = {
    "security": [
        {},
        *({scheme.scheme_name: [Right.READ.value]} for scheme in (_BEARER, _HEADER)),
    ]
}
"""For OpenAPI: of a call for everybody, which does more for whoever has a key."""
KeyHolder = Annotated[Actor, Depends(_require_key)]
# `docs` makes of each right the scope of a key that has it.
Uploader = Annotated[Actor, Security(Needs(Right.UPLOAD), scopes=[Right.UPLOAD])]
Reader = Annotated[Actor, Security(Needs(Right.READ), scopes=[Right.READ])]
Writer = Annotated[Actor, Security(Needs(Right.WRITE), scopes=[Right.WRITE])]
Deleter = Annotated[Actor, Security(Needs(Right.DELETE), scopes=[Right.DELETE])]
DeleterOrHolder = Annotated[Actor, Security(_require_deletion, scopes=[Right.DELETE])]
KeyManager = Annotated[Actor, Security(Needs(Right.KEYS), scopes=[Right.KEYS])]
Administrator = Annotated[Actor, Security(Needs(Right.ADMIN), scopes=[Right.ADMIN])]
