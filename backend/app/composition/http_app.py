"""The application: the routers of a role over its resources, and what surrounds each request."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from app import __version__
from app.api import docs, page
from app.api.application import Application
from app.api.context import State
from app.api.images.file_route import FileRoute
from app.api.images.paths import BATCH_PATH, UPLOAD_PATH
from app.api.middleware.access_log import AccessLog
from app.api.middleware.authentication import Authentication
from app.api.middleware.cross_site import CrossSiteGuard
from app.api.middleware.proxy_headers import ProxyHeaders
from app.api.middleware.request_body import FORM_ALLOWANCE, BodyLimit
from app.api.problems import handlers
from app.api.problems.kinds import INTERNAL_ERROR, UNKNOWN_HOST
from app.api.problems.openapi import documented
from app.composition.resources import open_resources
from app.composition.roles import SERVICE, Role
from app.composition.routers import ROUTERS
from app.config.settings import Settings
from app.config.storage_url import parse_storage_url
from app.database.revisions import watched_schema
from app.domain.actor import ANONYMOUS
from app.domain.errors import StorageError
from app.domain.limits import UploadLimits
from app.domain.user_errors import InvalidKey, MissingScope
from app.imaging.dimensions import configure_pillow
from app.observability.logs import keep_records_short
from app.observability.observer import SILENT, Observer
from app.observability.reasons import reason
from app.runtime.freed_memory import keep_freed_memory
from app.services.lease import Lease
from app.services.use_cases import Services

_DESCRIPTION: Final = """
Keeps JPEG, PNG, GIF, WebP, AVIF and HEIC images exactly as they are, and gives each a link that
lasts.

`curl -F file=@photo.jpg http://localhost:8000/api/v1/images/upload`

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457); their `type` leads to
[a description](problems).
"""

_log = logging.getLogger(__name__)


def create_app(settings: Settings, role: Role = SERVICE, observer: Observer = SILENT) -> FastAPI:
    """Build the application; its lifespan opens the resources.

    Args:
        settings: Of the service.
        role: Which routers.
        observer: Told what is asked, and how it is answered.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        configure_pillow()
        limits = UploadLimits(
            max_upload_bytes=settings.max_upload_bytes,
            batch_max_files=settings.batch_max_files,
            uploads_per_hour_per_ip=settings.uploads_per_hour_per_ip,
        )
        async with AsyncExitStack() as opened:
            resources = await opened.enter_async_context(open_resources(settings, role, observer))
            services = Services(
                resources.database,
                resources.storage,
                limits,
                settings.thumbnail_sizes,
                strip_metadata=settings.strip_metadata,
                cache=resources.cache,
                lease=_lease(settings) if settings.front == "nginx" else None,
                redirects=settings.storage_redirect,
                api_key=settings.api_key.get_secret_value(),
                access=settings.effective_access,
                signing_keys=settings.signing_keys,
                observer=observer,
            )
            opened.push_async_callback(services.close)
            if resources.cache:
                resources.cache.connect()
            try:
                await services.readiness.prepare_storage()
            except StorageError as error:
                _log.error("the image storage cannot be used yet: %s", reason(error))
            await opened.enter_async_context(watched_schema(resources.database))
            if services.cached_rows:
                watching = services.cached_rows.trust.watched(services.readiness.suspect)
                await opened.enter_async_context(watching)
            await opened.enter_async_context(services.statistics.recorded())
            yield State(
                settings=settings,
                services=services,
                readiness=services.readiness,
                drain=asyncio.Event(),
            )

    per_file = settings.max_upload_bytes + FORM_ALLOWANCE
    caps = {UPLOAD_PATH: per_file, BATCH_PATH: per_file * settings.batch_max_files}
    anonymous = ANONYMOUS[settings.effective_access]
    app = Application(
        title="Image host",
        version=__version__,
        description=_DESCRIPTION,
        # Not PUBLIC_URL, because the reader of the documentation may have come by another name, and
        # a browser lets a page call none but its own.
        servers=[{"url": settings.public_path}] if settings.public_path else None,
        lifespan=lifespan,
        openapi_url=None,  # and with it FastAPI's own pages of documentation
        # Nothing collects it yet; to find that out would cost a request as much as opening a file.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[  # each around the next, and all around the error handlers and the routes
            Middleware(ProxyHeaders, trusted=settings.trusted_proxies),
            Middleware(AccessLog, observer=observer, has_details=settings.log_format == "json"),
            Middleware(BodyLimit, caps=caps),
            Middleware(Authentication),
            *([Middleware(CrossSiteGuard, settings=settings)] if anonymous.rights else []),
        ],
        routes=[FileRoute()],
    )
    routers = ROUTERS[role]
    for router in routers.protected:
        app.include_router(
            router, responses=documented(InvalidKey, MissingScope, UNKNOWN_HOST, INTERNAL_ERROR)
        )
    for router in (*routers.public, _page_router(settings)):
        app.include_router(router, responses=documented(INTERNAL_ERROR))
    app.include_router(docs.docs_router(app, settings.public_path, anonymous))
    app.mount(docs.ASSETS_PATH, docs.DocsAssets())
    handlers.install_error_handlers(app)
    return app


def _page_router(settings: Settings) -> APIRouter:
    store = parse_storage_url(settings.storage_url).origin if settings.storage_redirect else ""
    return page.page_router(has_front=settings.front == "nginx", store=store)


def _lease(settings: Settings) -> Lease:
    return Lease(settings.front_lease_seconds, settings.front_stale_seconds)


def create_process_app(settings: Settings, observer: Observer = SILENT) -> FastAPI:
    """Build the application of a process that only serves it."""
    keep_records_short()
    keep_freed_memory()
    app = create_app(settings, observer=observer)
    # What is loaded by now stays: the collector need not traverse it again and again.
    gc.freeze()
    return app
