"""Who sent a request: today whoever has the API key, and anyone else.

The key is one shared secret, sent as `Authorization: Bearer` (RFC 6750).
"""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.context import Context, ContextDep
from app.domain.actor import ANONYMOUS, API_KEY_HOLDER, Actor

_bearer = HTTPBearer(auto_error=False, description="The service's API key (setting API_KEY).")


class InvalidKey(Exception):
    """The request has no API key, or a wrong one."""

    def __init__(self) -> None:
        super().__init__("This call needs the API key: Authorization: Bearer <key>.")


class Authentication:
    """Middleware that makes the context of each request, with its actor.

    Args:
        app: The application behind it.
        api_key: The key; empty where there is none, and everyone is anonymous.
    """

    def __init__(self, app: ASGIApp, api_key: SecretStr) -> None:
        self._app = app
        self._api_key = api_key.get_secret_value().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            actor = self._actor(scope) if self._api_key else ANONYMOUS
            scope["state"]["context"] = Context(scope, actor)
        await self._app(scope, receive, send)

    def _actor(self, scope: Scope) -> Actor:
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = sent.partition(b" ")
        if scheme.lower() == b"bearer" and secrets.compare_digest(key.strip(), self._api_key):
            return API_KEY_HOLDER
        return ANONYMOUS


async def require_api_key(
    context: ContextDep,
    _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Let a request through whose sender has the key; OpenAPI shows that it is needed.

    Raises:
        InvalidKey: If the sender has not.
    """
    if not context.actor.has_api_key:
        raise InvalidKey
