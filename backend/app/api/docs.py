"""The documentation people read: Swagger UI over the OpenAPI document, served from here alone.

Both have the URL that the reader uses. Links of the page are relative, because a proxy may
serve it below a path.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import fastapi_offline
from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from app.api.access import DELETE_TOKEN
from app.api.context import ContextDep
from app.api.observed import ROUTE
from app.api.problems.openapi import described_headers
from app.api.problems.problem import PROBLEMS_PATH
from app.domain.actor import Actor, Right
from app.schemas.image import EXAMPLE_BASE_URL
from app.schemas.problem import ProblemDetails

OPENAPI_PATH: Final = "/openapi.json"
DOCS_PATH: Final = "/docs"
ASSETS_PATH: Final = f"{DOCS_PATH}/assets"
_ALONE: Final = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
"""Header fields of a page that no other may show within it, to have its buttons clicked."""


def docs_router(app: FastAPI, public_path: str, anonymous: Actor) -> APIRouter:
    """Return a router with the documentation of the routes that an application has by now.

    Args:
        app: The application.
        public_path: The path below which clients reach it.
        anonymous: Whoever has sent no key.
    """
    document = json.dumps(describe(app, anonymous), ensure_ascii=False)
    document = document.replace(f'"{PROBLEMS_PATH}#', f'"{public_path}{PROBLEMS_PATH}#')
    router = APIRouter(include_in_schema=False)

    @router.head(OPENAPI_PATH)
    @router.get(OPENAPI_PATH)
    async def openapi(context: ContextDep) -> Response:
        """Send the OpenAPI document, with examples that work where it is read."""
        base_url = json.dumps(context.base_url).strip('"')
        text = document.replace(EXAMPLE_BASE_URL, base_url)
        return Response(text, media_type="application/json")

    @router.head(DOCS_PATH)
    @router.get(DOCS_PATH)
    async def docs() -> HTMLResponse:
        """Show Swagger UI."""
        assets = ASSETS_PATH.removeprefix("/")
        page = get_swagger_ui_html(
            openapi_url=OPENAPI_PATH.removeprefix("/"),
            title=app.title,
            swagger_js_url=f"{assets}/swagger-ui-bundle.js",
            swagger_css_url=f"{assets}/swagger-ui.css",
            swagger_favicon_url=f"{assets}/favicon.png",
            swagger_ui_parameters={"tryItOutEnabled": True},
        )
        page.headers.update(_ALONE)
        return page

    return router


class DocsAssets(StaticFiles):
    """Serves Swagger UI's own files, so that a browser asks no other host (ADR 0010)."""

    def __init__(self) -> None:
        super().__init__(directory=Path(fastapi_offline.__file__).parent / "static")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope[ROUTE] = ASSETS_PATH
        await super().__call__(scope, receive, send)


def describe(app: FastAPI, anonymous: Actor) -> dict[str, Any]:
    """Return the OpenAPI document: FastAPI's, with the errors as they really are.

    FastAPI would add to each route with a parameter a 422 of its own form; ours are described on
    the routes that can have them. The same with security: FastAPI knows no scopes of a key, and not
    what needs none.
    """
    document = app.openapi()
    for path in document["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in content:
                del operation["responses"]["422"]
            if security := operation.get("security"):
                if {} not in security:
                    _describe_caching(operation["responses"])
                operation["security"] = _needed(security, anonymous)
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["ProblemDetails"] = problem
    return document


def _describe_caching(responses: Mapping[str, dict[str, Any]]) -> None:
    """Describe how answers that depend on who asks are cached: see `Authentication`."""
    field = described_headers({"Cache-Control": "no-store: the answer is for this request alone"})
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | field


def _needed(security: Sequence[dict[str, list[str]]], anonymous: Actor) -> list[dict[str, Any]]:
    """Return what a call needs, one of these: a key, or nothing; see `app.api.access`."""
    rights = {Right(name) for need in security for names in need.values() for name in names}
    scopes = [right.scope.value for right in rights]
    needed: list[dict[str, Any]] = [
        {scheme: [] if scheme == DELETE_TOKEN.scheme_name else scopes for scheme in need}
        for need in security
    ]
    needs_none = rights and rights <= anonymous.rights and {} not in needed
    return [*needed, {}] if needs_none else needed
