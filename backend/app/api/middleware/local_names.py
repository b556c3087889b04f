"""Guard of the metrics against pages whose name was made to lead to this machine (ADR 22)."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.middleware.cross_site import leads_here
from app.api.problems.kinds import UNKNOWN_HOST
from app.config.values import is_loopback

_DETAIL: Final = "On loopback the metrics are known as localhost and by IP addresses only."


class LocalNames:
    """Middleware that answers under foreign names only what other machines ask, too.

    Args:
        app: The application to guard.
        host: Where it listens.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._knows_names = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._knows_names and scope["type"] == "http":
            host = Headers(scope=scope).get("host", "").lower()
            if host and not leads_here(host):
                await UNKNOWN_HOST.response(_DETAIL)(scope, receive, send)
                return
        await self._app(scope, receive, send)
