"""Answering errors: whatever is raised leaves the service as a problem (see `problems.py`)."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from app.api.conditional import RangeNotSatisfiable
from app.api.cursor import InvalidCursor
from app.api.limits import BodyTooLarge
from app.api.multipart import MissingField
from app.api.problems import (
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROBLEMS,
    Problem,
    limit_members,
    problem_of,
)
from app.api.security import InvalidKey
from app.errors import (
    DatabaseUnavailable,
    LimitExceeded,
    QuotaExceeded,
    StorageFull,
    StorageUnavailable,
)
from app.reasons import reason
from app.services.catalog import QUOTA_PERIOD

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_log = logging.getLogger(__name__)


def answer_error(error: Exception, **members: object) -> JSONResponse:
    """Answer with the problem of an error, its headers, and extension members."""
    problem = problem_of(error)
    headers: dict[str, str] = {}
    detail = str(error)
    match error:
        case InvalidKey():
            headers["WWW-Authenticate"] = "Bearer"
        case QuotaExceeded(allowed=quota, retry_after=seconds):
            window = int(QUOTA_PERIOD.total_seconds())
            headers["Retry-After"] = str(seconds)
            # draft-ietf-httpapi-ratelimit-headers: quota, window, what is left, seconds until more
            headers["RateLimit-Policy"] = f'"uploads";q={quota};w={window}'
            headers["RateLimit"] = f'"uploads";r=0;t={seconds}'
        case RangeNotSatisfiable(size=size):
            headers["Content-Range"] = f"bytes */{size}"
        case MissingField(field=name):
            members["errors"] = [{"in": "body", "field": name, "detail": detail}]
        case InvalidCursor():
            members["errors"] = [{"in": "query", "field": "cursor", "detail": detail}]
        case RequestValidationError():
            members["errors"] = [
                {"in": item["loc"][0], "field": str(item["loc"][-1]), "detail": item["msg"]}
                for item in error.errors()
            ]
            first = error.errors()[0]
            detail = f"{first['loc'][-1]}: {first['msg']}"
    if isinstance(error, LimitExceeded | BodyTooLarge):
        members |= limit_members(error)
    _log_failure(problem, error)
    return problem.response(detail, headers, **members)


def _log_failure(problem: Problem, error: Exception) -> None:
    """Tell the operator of what the client is not to blame for."""
    if isinstance(error, DatabaseUnavailable | StorageUnavailable | StorageFull):
        _log.warning("%s: %s", problem.slug, reason(error))
    elif problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", problem.slug, error, exc_info=error)


def install_error_handlers(app: FastAPI) -> None:
    """Let the application answer each error with its problem."""
    for kind in PROBLEMS:
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(HTTPException, _answer_framework_error)


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    return answer_error(error)


async def _answer_framework_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what the router raises: an unknown address, or a method that an address lacks."""
    status = getattr(error, "status_code", None)
    if status == HTTPStatus.NOT_FOUND:
        docs = f"{request.state.settings.public_path}/docs"
        return NOT_FOUND.response(f"There is nothing at this address; {docs} lists what there is.")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed_methods(request.scope) or ["GET", "HEAD"])
        detail = f"This address does not take {request.method}; it takes {allowed}."
        return METHOD_NOT_ALLOWED.response(detail, {"Allow": allowed})
    return INTERNAL_ERROR.response()


def _allowed_methods(scope: Scope) -> list[str]:
    """Ask all routes of an address; files of the documentation are no routes and tell nothing."""
    routes = scope["app"].router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]
