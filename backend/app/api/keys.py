"""The routes of API keys: who has the scope `admin` manages their own, administrators all."""

from datetime import timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.api.access import KeyManager
from app.api.context import ContextDep
from app.api.json_body import UnsupportedMediaType, described_body, read_json
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.kinds import CROSS_SITE_REQUEST, INVALID_REQUEST
from app.api.problems.openapi import documented
from app.domain.errors import DatabaseFull, DatabaseUnavailable
from app.domain.user_errors import KeyNotFound, TooManyKeys, UserNotFound
from app.schemas.key import CreatedKeyOut, KeyList, KeyOut, NewKeyIn

KEYS_PATH: Final = "/api/v1/keys"
KEY_PATH: Final = KEYS_PATH + "/{prefix}"

_CHANGE_PROBLEMS: Final = (CROSS_SITE_REQUEST, DatabaseUnavailable, DatabaseFull)

router = APIRouter(tags=["keys"])


@router.head(KEYS_PATH, include_in_schema=False)
@router.get(
    KEYS_PATH,
    summary="List API keys",
    responses=documented(INVALID_REQUEST, UserNotFound, DatabaseUnavailable),
)
async def list_keys(
    context: ContextDep,
    actor: KeyManager,
    user_id: Annotated[
        UUID | None,
        Query(description="Whose; without it, one's own. Administrators may name others"),
    ] = None,
) -> KeyList:
    """List the keys of a user, the newest first; no secret is shown."""
    keys = await context.services.keys.of(user_id, actor)
    return KeyList(items=[KeyOut.of(key) for key in keys])


@router.post(
    KEYS_PATH,
    status_code=HTTP_201_CREATED,
    summary="Create an API key",
    openapi_extra=described_body(NewKeyIn),
    responses={
        HTTP_201_CREATED: {"description": "The key, whose secret is shown here and never again"},
        **documented(
            *_CHANGE_PROBLEMS,
            RequestTooSlow,
            BodyTooLarge,
            UnsupportedMediaType,
            INVALID_REQUEST,
            UserNotFound,
            TooManyKeys,
        ),
    },
)
async def create_key(request: Request, context: ContextDep, actor: KeyManager) -> CreatedKeyOut:
    """Create a key. A user has 100 valid ones at most.

    `curl --json '{"scopes": ["read"], "expires_in": 86400}' http://localhost:8000/api/v1/keys`
    """
    new = await read_json(request, NewKeyIn)
    expires_in = None if new.expires_in is None else timedelta(seconds=new.expires_in)
    created = await context.services.keys.create(new.user_id, new.scopes, expires_in, actor)
    return CreatedKeyOut.of_created(created)


@router.delete(
    KEY_PATH,
    status_code=HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Revoke an API key",
    responses={
        HTTP_204_NO_CONTENT: {"description": "A second later, the key is accepted nowhere"},
        **documented(*_CHANGE_PROBLEMS, KeyNotFound),
    },
)
async def revoke_key(prefix: str, context: ContextDep, actor: KeyManager) -> None:
    """Revoke a key, by what it begins with."""
    await context.services.keys.revoke(prefix, actor)
