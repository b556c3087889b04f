"""The context of each request, with the API key that it was sent with.

A key is sent as `Authorization: Bearer` (RFC 6750), or as `X-API-Key`. What is answered to its
holder is for nobody else, so no cache may keep it (ADR 76).
"""

from collections.abc import Awaitable, Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import Context

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_CACHE_CONTROL: Final = (b"cache-control", b"x-cache-control")
"""The second is what a file says whose bytes nginx gets elsewhere (`renamed_fields`)."""


class Authentication:
    """Middleware that makes the context of each request. Who has sent it is found out on demand.

    An answer for which that was found out is kept by no cache, if it does not say otherwise.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = scope["state"]["context"] = Context(scope, _sent_key(scope))

        def send_to_sender(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and context.has_asked:
                message = {**message, "headers": _kept_by_nobody(message["headers"])}
            return send(message)

        await self._app(scope, receive, send_to_sender)


def _kept_by_nobody(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return header fields that let no cache store an answer, unless they say themselves who may.

    RFC 9111 protects `Authorization` from shared caches only (section 3.5), no `X-API-Key`, and
    nothing from the browser's own, where somebody else may use the next key.
    """
    kept = [*fields]
    if not any(name in _CACHE_CONTROL for name, _ in kept):
        kept.append((b"cache-control", b"no-store"))
    return kept


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
