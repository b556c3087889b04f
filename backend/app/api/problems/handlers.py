"""Handlers that turn whatever a route raises into an answer with a problem."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from app.api.forms.rejections import (
    FORM_MEDIA_TYPE,
    InvalidField,
    MissingField,
    UnsupportedBody,
)
from app.api.images.cursor import InvalidCursor
from app.api.images.file_headers import FOR_ANY_SITE
from app.api.images.front import absence_fields
from app.api.images.paths import FILE_URL
from app.api.json_body import JSON_MEDIA_TYPE, UnsupportedMediaType
from app.api.middleware.request_body import BodyTooLarge
from app.api.problems import kinds
from app.api.problems.problem import RETRY_AFTER_SECONDS, ProblemResponse
from app.api.ranges import RangeNotSatisfiable
from app.domain.errors import (
    DatabaseUnavailable,
    ImageDamaged,
    ImageNotFound,
    InvalidFilename,
    LimitExceeded,
    QuotaExceeded,
    StorageFull,
    StorageQuotaExceeded,
    StorageUnavailable,
    ThumbnailNotReady,
    UploadUnderWay,
)
from app.domain.limits import QUOTA_PERIOD
from app.domain.user_errors import InvalidKey, MissingScope
from app.observability.reasons import reason
from app.services.readiness import Readiness

_MOST_INPUTS: Final = 20
"""Bad inputs that an answer names."""
_MOST_CHARACTERS: Final = 100
"""Of the name of a bad input, which a client may have chosen."""
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_log = logging.getLogger(__name__)


def problem_response(error: Exception, members: Mapping[str, Any] = {}) -> ProblemResponse:
    """Return the answer to an error: its problem, headers, and extension members."""
    headers = _headers(error)
    return kinds.problem_of(error).response(headers=headers, **error_members(error), **members)


def error_members(error: Exception) -> dict[str, Any]:
    """Return the members of its problem that differ from error to error: `detail`, and others."""
    detail = str(error)
    members: dict[str, Any] = {}
    match error:
        case LimitExceeded() | BodyTooLarge():
            members = {"limit": error.limit, "allowed": error.allowed, "actual": error.actual}
            if isinstance(error, StorageQuotaExceeded):
                members |= {"used": error.used, "needed": error.needed}
        case MissingField(field=name) | InvalidField(field=name):
            members["errors"] = [{"in": "body", "field": name, "detail": detail}]
        case InvalidFilename():
            members["errors"] = [{"in": "body", "field": "filename", "detail": detail}]
        case InvalidCursor():
            members["errors"] = [{"in": "query", "field": "cursor", "detail": detail}]
        case RequestValidationError():
            members["errors"] = errors = [
                {"in": where, "field": _shown(path) or where, "detail": item["msg"]}
                for item in error.errors()[:_MOST_INPUTS]
                for where, *path in [item["loc"]]
            ]
            detail = "{field}: {detail}".format(**errors[0])
    return {"detail": detail, **members}


def _shown(path: Iterable[str | int]) -> str:
    name = ".".join(map(str, path))[:_MOST_CHARACTERS]
    return "".join(filter(str.isprintable, name))


def _headers(error: Exception) -> dict[str, str]:  # noqa: PLR0911 - one a kind
    match error:
        case InvalidKey():
            return {"WWW-Authenticate": "Bearer"}
        case MissingScope(scope=scope):  # RFC 6750, section 3.1
            return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
        case UploadUnderWay():
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
        case QuotaExceeded(allowed=quota, retry_after=seconds):
            window = int(QUOTA_PERIOD.total_seconds())
            # draft-ietf-httpapi-ratelimit-headers: quota, window, what is left, seconds until more
            return {
                "Retry-After": str(seconds),
                "RateLimit-Policy": f'"uploads";q={quota};w={window}',
                "RateLimit": f'"uploads";r=0;t={seconds}',
            }
        case UnsupportedBody():
            # RFC 9110, sections 12.5.1 and 12.5.3; Accept-Post: Linked Data Platform 1.0, 7.1
            form = FORM_MEDIA_TYPE
            return {"Accept": form, "Accept-Post": form, "Accept-Encoding": "identity"}
        case UnsupportedMediaType():
            return {"Accept": JSON_MEDIA_TYPE, "Accept-Encoding": "identity"}
        case RangeNotSatisfiable(size=size):
            return {"Content-Range": f"bytes */{size}"}
    return {}


def report(error: Exception, readiness: Readiness) -> None:
    """Log why a request, or a file of one, is answered with a status of 5xx, if it is.

    And have checked what has failed.
    """
    problem = kinds.problem_of(error)
    if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    match error:
        case DatabaseUnavailable() | StorageUnavailable() | StorageFull() | ThumbnailNotReady():
            _log.warning("%s: %s", problem.slug, reason(error))
        case ImageDamaged(is_known=is_known):
            level = logging.INFO if is_known else logging.ERROR
            _log.log(level, "%s: %s", problem.slug, reason(error))
        case _:
            _log.error("%s: %s", problem.slug, reason(error), exc_info=error)
    readiness.suspect(error)


def install_error_handlers(app: FastAPI) -> None:
    """Have the application answer each error with its problem."""
    for kind in (*kinds.PROBLEMS, HTTPException):
        app.add_exception_handler(kind, _answer)


async def _answer(request: Request, error: Exception) -> ProblemResponse:
    if isinstance(error, HTTPException):
        response = _router_response(request, error)
    else:
        report(error, request.state.readiness)
        response = problem_response(error)
    if FILE_URL.fullmatch(request.scope["path"]):
        response.raw_headers += FOR_ANY_SITE
        if isinstance(error, ImageNotFound):
            files = request.state.context.services.files
            response.raw_headers[:0] = absence_fields(request, files)
    return response


def _router_response(request: Request, error: HTTPException) -> ProblemResponse:
    """Return the answer to what the router raises: an unknown URL, or method of a URL."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _unknown_url_response(request)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed_methods(request.scope) or ["GET", "HEAD"])
        detail = f"This URL does not take {request.method}; it takes {allowed}."
        return kinds.METHOD_NOT_ALLOWED.response(detail, {"Allow": allowed})
    _log.error("%s: the router has raised %s", kinds.INTERNAL_ERROR.slug, error)
    return kinds.INTERNAL_ERROR.response()


def _unknown_url_response(request: Request) -> ProblemResponse:
    """Return 404, or a redirect where only a trailing slash is wrong.

    With 307 the client repeats its method and body (RFC 9110, section 15.4.8). The new URL is
    relative, because a proxy in front may serve this one below a path of its own; a client that
    follows no redirect reads it in the problem.
    """
    scope, base = request.scope, request.state.settings.public_path
    path = scope["path"].removesuffix("/")
    if path == scope["path"] or not _is_known({**scope, "path": path}):
        return kinds.NOT_FOUND.response(f"No such URL; see {base}/docs.")
    query = scope["query_string"].decode("latin-1")
    location = f"../{quote(path.rpartition('/')[2])}{'?' if query else ''}{query}"
    return kinds.TRAILING_SLASH.response(
        f"This URL has a trailing slash; the right one is {base}{path}.",
        {"Location": location},
    )


def _is_known(scope: Scope) -> bool:
    return any(route.matches(scope)[0] is not Match.NONE for route in scope["app"].router.routes)


def _allowed_methods(scope: Scope) -> list[str]:
    """Return the methods of all routes of a URL; none where it is a mounted file."""
    routes = scope["app"].router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
