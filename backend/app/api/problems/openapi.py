"""The responses of a route in the OpenAPI document: problems with examples, header fields."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from app.api.problems.handlers import error_members
from app.api.problems.kinds import problem_of
from app.api.problems.problem import Problem
from app.schemas.problem import PROBLEM_MEDIA_TYPE

_HEADERS: Final = {
    401: {"WWW-Authenticate": "Bearer"},
    409: {"Retry-After": "Seconds after which to send the same Idempotency-Key again"},
    415: {
        "Accept": "The media type that the call takes",
        "Accept-Post": "The same, where it is a form",
        "Accept-Encoding": "identity: no compression",
    },
    416: {"Content-Range": "The size of the file, as bytes */size"},
    429: {
        "Retry-After": "Seconds until the next upload is possible",
        "RateLimit-Policy": "How many uploads (q) within how many seconds (w)",
        "RateLimit": "How many are left (r), and when there will be more (t, seconds)",
    },
    503: {"Retry-After": "Seconds after which to try again"},
}
"""Header fields of an answer by its status, each with its meaning."""


def documented(*kinds: type[Exception] | Problem) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route, as FastAPI's `responses` takes them."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        problem = kind if isinstance(kind, Problem) else problem_of(kind)
        members = problem.example_members
        if isinstance(problem.example, Exception):
            members = error_members(problem.example)
        response = responses.setdefault(problem.status, _response(problem.status))
        response["content"][PROBLEM_MEDIA_TYPE]["examples"][problem.slug] = {
            "summary": problem.title,
            "value": problem.body(**members),
        }
    return responses


def described_headers(meanings: Mapping[str, str]) -> dict[str, Any]:
    """Describe the header fields of a response, each by its meaning."""
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in meanings.items()
    }


def _response(status: int) -> dict[str, Any]:
    return {
        "description": HTTPStatus(status).phrase,
        "headers": described_headers(_HEADERS.get(status, {})),
        "content": {
            PROBLEM_MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                "examples": {},
            }
        },
    }
