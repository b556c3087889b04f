"""The documentation people read: Swagger UI over the OpenAPI document, served from here alone."""

from pathlib import Path
from typing import Any, Final

import fastapi_offline
from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from app.schemas.problem import ProblemDetails

OPENAPI_PATH: Final = "/openapi.json"
DOCS_PATH: Final = "/docs"
ASSETS_PATH: Final = f"{DOCS_PATH}/assets"

router = APIRouter(include_in_schema=False)


@router.head(DOCS_PATH)
@router.get(DOCS_PATH)
async def docs() -> HTMLResponse:
    """Show Swagger UI."""
    return get_swagger_ui_html(
        openapi_url=OPENAPI_PATH,
        title="Image host",
        swagger_js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS_PATH}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS_PATH}/favicon.png",
        swagger_ui_parameters={"tryItOutEnabled": True},
    )


def docs_assets() -> StaticFiles:
    """Serve Swagger UI's own files, so that a browser asks no other host (ADR 0010)."""
    return StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")


def install_openapi(app: FastAPI) -> None:
    """Let the application serve this document instead of FastAPI's own."""
    document = describe(app)
    # FastAPI's documented way: https://fastapi.tiangolo.com/how-to/extending-openapi/
    app.openapi = lambda: document  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """Write the OpenAPI document: FastAPI's, with the errors as they really are.

    FastAPI would give each route with a parameter a 422 of its own form; ours are described on
    the routes that can have them.
    """
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for path in document["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in content:
                del operation["responses"]["422"]
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["ProblemDetails"] = problem
    return document
