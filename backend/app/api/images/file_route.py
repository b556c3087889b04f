"""The first route of the router: files without what FastAPI does for a route (ADR 0035)."""

import re
from functools import lru_cache
from typing import Final, NoReturn
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound, compile_path
from starlette.status import HTTP_204_NO_CONTENT
from starlette.types import Receive, Scope, Send

from app.api.images.file_headers import FOR_ANY_SITE
from app.api.images.files import get_image_file
from app.api.images.paths import FILE_PATH, FILE_URL, THUMBNAIL_PATH
from app.api.images.thumbnails import get_image_thumbnail
from app.api.observed import ROUTE
from app.services.signing import Signature

_METHODS: Final = ("GET", "HEAD")
_PREFLIGHT_FIELD: Final = b"access-control-request-method"
_FILE, _THUMBNAIL = (compile_path(path)[1] for path in (FILE_PATH, THUMBNAIL_PATH))
"""The paths as those of other routes are named, without the types of their parameters."""
_SIGNED: Final = re.compile(rb"expires=([0-9]+)&key=([0-9A-Za-z]+)&signature=([0-9A-Za-z_-]+)")
"""The query of a private image's address, as answers have it."""

_uuid = lru_cache(1024)(UUID)  # of images in demand; making one costs as much as a layer


class FileRoute(BaseRoute):
    """Files and thumbnails by their plain URLs, and preflights of the CORS protocol.

    What FastAPI does for a route costs more than the service itself does for a file in memory
    (ADR 0035). A request with a query takes FastAPI's own route, to the same function, unless that
    is the signature of a private image's address as answers have it.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a request that needs nothing else of FastAPI."""
        if scope["type"] != "http" or not (found := FILE_URL.fullmatch(scope["path"])):
            return Match.NONE, {}
        image_id, size, slash = found.groups()
        query = scope["query_string"]
        is_plain = not slash and (not query or _SIGNED.fullmatch(query))
        if scope["method"] in _METHODS and is_plain:
            path_params = {"image_id": image_id, "size": size}
            return Match.FULL, {"path_params": path_params, ROUTE: _template(size)}
        if scope["method"] == "OPTIONS" and _PREFLIGHT_FIELD in dict(scope["headers"]):
            return Match.FULL, {ROUTE: _template(size)}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope, receive)
        if scope["method"] == "OPTIONS":
            response = _preflight(request)
        else:
            image_id, size = _uuid(scope["path_params"]["image_id"]), scope["path_params"]["size"]
            context, signature = scope["state"]["context"], _signature(scope["query_string"])
            if size is None:
                response = await get_image_file(request, image_id, context, signature)
            else:
                response = await get_image_thumbnail(request, image_id, size, context, signature)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Refuse: URLs are made from the paths in `paths`."""
        raise NoMatchFound(name, path_params)


def _signature(query: bytes) -> Signature | None:
    """Return what the address of a private image has in its query; None without one."""
    sent = _SIGNED.fullmatch(query)
    return Signature(*(value.decode() for value in sent.groups())) if sent else None


def _template(size: str | None) -> str:
    return _THUMBNAIL if size else _FILE


def _preflight(request: Request) -> Response:
    """Let a page of another site send any header fields with a request for a file."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(_METHODS),
        "Access-Control-Max-Age": "86400",
    }
    if wanted := request.headers.get("access-control-request-headers"):
        headers["Access-Control-Allow-Headers"] = wanted
    response = Response(status_code=HTTP_204_NO_CONTENT, headers=headers)
    response.raw_headers += FOR_ANY_SITE
    return response
