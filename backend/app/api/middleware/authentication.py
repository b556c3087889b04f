"""The API key: one shared secret, sent as `Authorization: Bearer` (RFC 6750)."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.api.dependencies import ContextDep

bearer = HTTPBearer(auto_error=False, description="The service's API key (setting API_KEY).")


class InvalidKey(Exception):
    """The request has no API key, or a wrong one."""

    def __init__(self) -> None:
        super().__init__("This call needs the API key: Authorization: Bearer <key>.")


async def require_api_key(
    context: ContextDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> None:
    """Let a request through that has the key.

    Raises:
        InvalidKey: If it has not.
    """
    given = credentials.credentials if credentials else ""
    if not secrets.compare_digest(
        given.encode(), context.settings.api_key.get_secret_value().encode()
    ):
        raise InvalidKey
