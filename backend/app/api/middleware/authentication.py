"""The context of each request, with the API key that it was sent with.

A key is sent as `Authorization: Bearer` (RFC 6750), or as `X-API-Key`.
"""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.context import Context

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"


class Authentication:
    """Middleware that makes the context of each request. Who has sent it is found out on demand.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            scope["state"]["context"] = Context(scope, _sent_key(scope))
        await self._app(scope, receive, send)


def _sent_key(scope: Scope) -> str | None:
    """Return the key of a request, if it has one.

    Other schemes of authentication are none of ours: a proxy in front may ask for a password.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    found: bytes | None = None
    for name, value in headers:
        if name == _AUTHORIZATION:
            scheme, _, key = value.partition(b" ")
            if scheme.lower() == b"bearer":
                found = key
                break
        elif name == _API_KEY and found is None:
            found = value
    return None if found is None else found.strip().decode("latin-1")
