"""Guard against what pages of other sites make browsers send, where there is no API key (ADR 22).

A browser sends a form to any address, a loopback one too, without asking; and a page whose name
was made to lead to this machine (DNS rebinding) may read the answers as well. What is not a
browser names neither a site nor an origin, and is let through.
"""

import re
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.images.paths import FILE_URL
from app.api.problems.kinds import CROSS_SITE_REQUEST, UNKNOWN_HOST
from app.api.problems.problem import ProblemResponse
from app.config.settings import Settings

_API: Final = "/api/"
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
"""Those that change nothing (RFC 9110, section 9.2.1)."""
_OWN_PAGE: Final = ("same-origin", "none")
"""Of Sec-Fetch-Site; `none` is a person, with the browser's own controls."""
_ROOT_AND_PORT: Final = re.compile(r"\.?(?::\d*)?$")
"""What may follow the name in Host."""
_PORTS: Final = {"http": 80, "https": 443}


class CrossSiteGuard:
    """Middleware that refuses changes for pages of other sites, and the API under foreign names.

    Files are public, and let through.

    Args:
        app: The application to guard.
        settings: Say by which names clients reach the service.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._public_host = urlsplit(settings.public_url).hostname
        self._public_origin = _origin(settings.public_url)
        # From another machine, or through a proxy, clients use names that nothing here knows; but
        # our nginx is on this machine too, and passes on the name that it was asked by.
        self._knows_names = settings.is_on_loopback and (
            not settings.trusted_proxies or settings.front == "nginx"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        if not scope["path"].startswith(_API) or FILE_URL.fullmatch(scope["path"]):
            return None
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host and self._knows_names and not leads_here(host, self._public_host):
            return UNKNOWN_HOST.response()
        if scope["method"] not in _SAFE_METHODS and self._is_of_another_site(headers, host):
            return CROSS_SITE_REQUEST.response()
        return None

    def _is_of_another_site(self, headers: Headers, host: str) -> bool:
        """Return whether the browser says so; older ones, and those without TLS, send Origin."""
        if site := headers.get("sec-fetch-site"):
            return site not in _OWN_PAGE
        if "origin" not in headers:
            return False
        origin = _origin(headers["origin"])
        # Whether clients use TLS is not known here: a proxy may terminate it.
        ours = _origin(f"{origin.scheme}://{host}") if origin else None
        return origin is None or origin not in {ours, self._public_origin}


def leads_here(host: str, public_host: str | None = None) -> bool:
    """Return whether a Host is one that nobody else can make resolve to this machine.

    Args:
        host: As the client has sent it, in lower case.
        public_host: By which people reach it through a proxy, if they do.
    """
    name = _ROOT_AND_PORT.sub("", host, count=1).strip("[]")
    if name in {"localhost", public_host} or name.endswith(".localhost"):
        return True
    if public_host and "." not in name:  # a proxy's own name for the service behind it
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class _Origin(NamedTuple):
    """What distinguishes one site from another (RFC 6454)."""

    scheme: str
    host: str
    port: int


def _origin(url: str) -> _Origin | None:
    """Return the origin of an address; None where it is opaque, such as `null`."""
    try:
        parts = urlsplit(url)
        return _Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])
    except (ValueError, KeyError):
        return None
