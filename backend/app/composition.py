"""The composition root: the one place that knows which parts the service is made of."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from app import __version__
from app.api import discovery, docs, health, page
from app.api.application import Application
from app.api.context import State
from app.api.images import files, metadata, upload
from app.api.images.file_route import FileRoute
from app.api.images.paths import BATCH_PATH, UPLOAD_PATH
from app.api.middleware.access_log import AccessLog
from app.api.middleware.authentication import Authentication, InvalidKey, require_api_key
from app.api.middleware.body_limit import FORM_ALLOWANCE, BodyLimit
from app.api.middleware.cross_site import CrossSiteGuard
from app.api.middleware.proxy_headers import ProxyHeaders
from app.api.problems import handlers, reference
from app.api.problems.catalogue import INTERNAL_ERROR, UNKNOWN_HOST
from app.api.problems.openapi import documented
from app.config.settings import Settings
from app.database.engine import Database
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable, StorageError
from app.domain.limits import UploadLimits
from app.imaging.dimensions import configure_pillow
from app.observability.logs import keep_records_short
from app.observability.reasons import reason
from app.services.use_cases import Services
from app.storage.local.backend import LocalStorage

RETRY_SECONDS: Final = 1.0
"""Between looks at the schema while the database is away, or not migrated yet."""

_DESCRIPTION: Final = """
Keeps JPEG and PNG images exactly as they are, and gives each a link that lasts.

`curl -F file=@photo.jpg http://localhost:8000/api/v1/images/upload`

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457); their `type` leads to
[a description](problems).
"""

_log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Build the application; nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        configure_pillow()
        database = Database(settings.database_url.get_secret_value(), settings.database_connections)
        storage = open_storage(settings)
        limits = UploadLimits(
            max_upload_bytes=settings.max_upload_bytes,
            batch_max_files=settings.batch_max_files,
            uploads_per_hour_per_ip=settings.uploads_per_hour_per_ip,
        )
        services = Services.over(database, storage, limits)
        try:
            try:
                await services.readiness.prepare_storage()
            except StorageError as error:
                _log.error("the image storage cannot be used yet: %s", reason(error))
            async with _watched_schema(database):
                yield State(settings=settings, services=services, drain=asyncio.Event())
        finally:
            await services.uploads.close()
            await storage.close()
            await database.close()

    per_file = settings.max_upload_bytes + FORM_ALLOWANCE
    caps = {UPLOAD_PATH: per_file, BATCH_PATH: per_file * settings.batch_max_files}
    has_key = bool(settings.api_key.get_secret_value())
    app = Application(
        title="Image host",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Nobody listens yet; to find that out would cost each request as much as opening a file.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        generate_unique_id_function=_route_name,
        middleware=[  # each around the next, and all around the error handlers and the routes
            Middleware(ProxyHeaders, trusted=settings.trusted_proxies),
            Middleware(AccessLog),
            Middleware(BodyLimit, caps=caps),
            Middleware(Authentication, api_key=settings.api_key),
            *([] if has_key else [Middleware(CrossSiteGuard, settings=settings)]),
        ],
        routes=[FileRoute()],
    )
    protection = [Depends(require_api_key)] if has_key else []
    for router in (upload.router, metadata.router):
        app.include_router(
            router,
            dependencies=protection,
            responses=documented(InvalidKey, UNKNOWN_HOST, INTERNAL_ERROR),
        )
    app.include_router(discovery.router, responses=documented(UNKNOWN_HOST, INTERNAL_ERROR))
    for router in (
        files.router,
        health.router,
        reference.router,
        page.page_router(),
    ):
        app.include_router(router, responses=documented(INTERNAL_ERROR))
    app.include_router(docs.docs_router(app, settings.public_path))
    app.mount(docs.ASSETS_PATH, docs.docs_assets())
    handlers.install_error_handlers(app)

    return app


def open_storage(settings: Settings) -> LocalStorage:
    """Choose the storage backend."""
    return LocalStorage(
        settings.data_dir / "images", settings.storage_threads, settings.max_connections
    )


def application(settings: Settings) -> FastAPI:
    """Build the application of a process that serves it and does nothing else."""
    keep_records_short()
    app = create_app(settings)
    # What is loaded by now stays: the collector need not go through it time and again.
    gc.freeze()
    return app


def _route_name(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _watched_schema(database: Database) -> AsyncIterator[None]:
    """Say what is wrong with the schema, and look again beside the service until nothing is.

    The command that starts a service refuses a wrong schema; this is for a database that was away
    at that moment. Until it is there and migrated, clients are told 503.
    """
    problem = await _problem_of_schema(database)
    if not problem:
        yield
        return
    watching = asyncio.create_task(_watch_schema(database, problem))
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch_schema(database: Database, problem: str) -> None:
    told = ""
    try:
        while problem:
            if problem != told:
                _log.error(problem)
                told = problem
            await asyncio.sleep(RETRY_SECONDS)
            problem = await _problem_of_schema(database)
    except Exception:  # noqa: BLE001 - a task has nobody else to tell
        _log.exception("the schema of the database cannot be checked")
    else:
        _log.info("the database is there, and its schema is as it should be")


async def _problem_of_schema(database: Database) -> str:
    """Tell in one line what is wrong, if anything is."""
    try:
        await require_head(database)
    except SchemaError as error:
        return str(error)
    except DatabaseUnavailable as error:
        return f"waiting for the database: {reason(error)}"
    return ""
