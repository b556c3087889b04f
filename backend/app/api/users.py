"""The routes of users: of oneself, and for administrators of all."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.status import HTTP_201_CREATED, HTTP_202_ACCEPTED

from app.api.access import Administrator, KeyHolder
from app.api.context import ContextDep
from app.api.json_body import UnsupportedMediaType, described_body, read_json
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.kinds import CROSS_SITE_REQUEST, INVALID_REQUEST
from app.api.problems.openapi import documented
from app.domain.errors import DatabaseFull, DatabaseUnavailable
from app.domain.user import EMAIL_PATTERN, MAX_EMAIL, Deletion
from app.domain.user_errors import AdministratorsOnly, UserExists, UserNotFound
from app.schemas.user import HolderOut, NewUserIn, UserChangesIn, UserList, UserOut

USERS_PATH: Final = "/api/v1/users"
OWN_PATH: Final = f"{USERS_PATH}/me"
USER_PATH: Final = USERS_PATH + "/{user_id:uuid}"

_CHANGE_PROBLEMS: Final = (
    CROSS_SITE_REQUEST,
    AdministratorsOnly,
    DatabaseUnavailable,
    DatabaseFull,
)
_BODY_PROBLEMS: Final = (RequestTooSlow, BodyTooLarge, UnsupportedMediaType, INVALID_REQUEST)

router = APIRouter(tags=["users"])


@router.head(OWN_PATH, include_in_schema=False)
@router.get(
    OWN_PATH,
    summary="Get the user of the key",
    responses=documented(UserNotFound, DatabaseUnavailable),
)
async def get_holder(context: ContextDep, actor: KeyHolder) -> HolderOut:
    """Return whose key the request was sent with, what it is for, and what they have used.

    `curl -H "Authorization: Bearer $KEY" http://localhost:8000/api/v1/users/me`
    """
    user = await context.services.users.get(actor.user_id) if actor.user_id else None
    return HolderOut.of(actor, user)


@router.head(USERS_PATH, include_in_schema=False)
@router.get(
    USERS_PATH,
    summary="List users",
    responses=documented(AdministratorsOnly, INVALID_REQUEST, DatabaseUnavailable),
)
async def list_users(
    context: ContextDep,
    _actor: Administrator,
    limit: Annotated[int, Query(ge=1, le=100, description="Most users on the page")] = 20,
    cursor: Annotated[
        str | None,
        Query(
            description="The next_cursor of the page before",
            pattern=EMAIL_PATTERN,
            max_length=MAX_EMAIL,
        ),
    ] = None,
) -> UserList:
    """List users, in the order of their emails."""
    page = await context.services.users.page(limit, cursor or "")
    return UserList(items=[UserOut.of(user) for user in page.items], next_cursor=page.next)


@router.post(
    USERS_PATH,
    status_code=HTTP_201_CREATED,
    summary="Add a user",
    openapi_extra=described_body(NewUserIn),
    responses={
        HTTP_201_CREATED: {"description": "The user, who has no keys yet"},
        **documented(*_CHANGE_PROBLEMS, *_BODY_PROBLEMS, UserExists),
    },
)
async def add_user(request: Request, context: ContextDep, _actor: Administrator) -> UserOut:
    """Add a user. Their first key is created with their id as `user_id`.

    `curl --json '{"email": "ada@example.org"}' http://localhost:8000/api/v1/users`
    """
    new = await read_json(request, NewUserIn)
    user = await context.services.users.add(new.email, new.role, new.quota_bytes, new.quota_images)
    return UserOut.of(user)


@router.head(USER_PATH, include_in_schema=False)
@router.get(
    USER_PATH,
    summary="Get a user",
    responses=documented(AdministratorsOnly, UserNotFound, DatabaseUnavailable),
)
async def get_user(user_id: UUID, context: ContextDep, _actor: Administrator) -> UserOut:
    """Return a user, and what they have used."""
    return UserOut.of(await context.services.users.get(user_id))


@router.patch(
    USER_PATH,
    summary="Change a user",
    openapi_extra=described_body(UserChangesIn),
    responses=documented(*_CHANGE_PROBLEMS, *_BODY_PROBLEMS, UserNotFound),
)
async def change_user(
    request: Request, user_id: UUID, context: ContextDep, _actor: Administrator
) -> UserOut:
    """Change role or quotas of a user, or disable them: their keys are refused a second later.

    `curl -X PATCH --json '{"disabled": true}' http://localhost:8000/api/v1/users/…`
    """
    changes = await read_json(request, UserChangesIn)
    return UserOut.of(await context.services.users.change(user_id, changes.changes()))


@router.delete(
    USER_PATH,
    status_code=HTTP_202_ACCEPTED,
    summary="Delete a user",
    responses={
        HTTP_202_ACCEPTED: {"description": "The user is disabled, and a job deletes them"},
        **documented(*_CHANGE_PROBLEMS, INVALID_REQUEST, UserNotFound),
    },
)
async def delete_user(
    user_id: UUID,
    context: ContextDep,
    _actor: Administrator,
    images: Annotated[
        Deletion,
        Query(
            description="What becomes of their images: `delete` deletes them, `keep` leaves them "
            "as they are, public or private, and nobody's"
        ),
    ],
) -> UserOut:
    """Disable a user, and have a job delete their keys, their images or not, and the user.

    Until then they are listed with `deletion`. Said again with another word, that counts for the
    images that are left.
    """
    return UserOut.of(await context.services.users.delete(user_id, images))
