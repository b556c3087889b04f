"""The composition root: the one place that knows which parts the service is made of."""

import asyncio
import logging
import multiprocessing
import multiprocessing.process
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.api import discovery, docs, download, errors, health, metadata, page, problems, upload
from app.api.access_log import AccessLog
from app.api.dependencies import State
from app.api.limits import FORM_ALLOWANCE, BodyLimit
from app.api.problems import INTERNAL_ERROR, documented
from app.api.security import InvalidKey, require_api_key
from app.config import Settings, load_settings
from app.database import Database
from app.errors import DatabaseUnavailable, StorageError
from app.models import Base
from app.services.image_service import ImageService, UploadLimits
from app.services.storage.local import LocalStorage

RETRY_SECONDS: Final = 1.0
"""Between attempts to prepare the schema while the database is away."""

_DESCRIPTION: Final = """
Keeps JPEG and PNG images exactly as they are, and gives each a link that lasts.

`curl -F file=@photo.jpg localhost:8000/api/v1/images/upload`

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457); their `type` leads to
[a description](/problems).
"""

_log = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """Build the application; nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        database = Database(settings.database_url.get_secret_value())
        storage = open_storage(settings)
        limits = UploadLimits(
            max_upload_bytes=settings.max_upload_bytes,
            batch_max_files=settings.batch_max_files,
            uploads_per_hour_per_ip=settings.uploads_per_hour_per_ip,
        )
        try:
            await storage.check()
        except StorageError as error:
            _log.error("the image storage cannot be used yet: %r", error.__cause__)
        try:
            async with _schema_of(database):
                yield State(settings=settings, service=ImageService(database, storage, limits))
        finally:
            await database.close()

    app = FastAPI(
        title="Image host",
        version="1",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=docs.OPENAPI_PATH,
        redirect_slashes=False,
        generate_unique_id_function=_route_name,
    )
    protection = [Depends(require_api_key)] if settings.api_key.get_secret_value() else []
    for router in (upload.router, metadata.router):
        app.include_router(
            router, dependencies=protection, responses=documented(InvalidKey, INTERNAL_ERROR)
        )
    for router in (
        download.router,
        discovery.router,
        health.router,
        problems.router,
        docs.router,
        page.page_router(),
    ):
        app.include_router(router, responses=documented(INTERNAL_ERROR))
    app.mount(docs.ASSETS_PATH, docs.docs_assets())
    docs.install_openapi(app)
    errors.install_error_handlers(app)

    per_file = settings.max_upload_bytes + FORM_ALLOWANCE
    caps = {upload.UPLOAD_PATH: per_file, upload.BATCH_PATH: per_file * settings.batch_max_files}
    app.add_middleware(BodyLimit, caps=caps)
    app.add_middleware(AccessLog)
    if settings.trusted_proxies:
        trusted = [str(network) for network in settings.trusted_proxies]
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
    return app


def open_storage(settings: Settings) -> LocalStorage:
    """Choose the storage backend."""
    return LocalStorage(settings.data_dir / "images")


def application() -> FastAPI:
    """Build the application of a process that serves, from the environment."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    return create_app(load_settings())


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """Stop a worker whose parent was killed: it would keep the port from the next service."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _route_name(route: APIRoute) -> str:
    return route.name


@asynccontextmanager
async def _schema_of(database: Database) -> AsyncIterator[None]:
    """Prepare the schema, or while the database is away, go on trying beside the service."""
    if await _prepare(database):
        yield
        return
    retrying = asyncio.create_task(_prepare_later(database))
    try:
        yield
    finally:
        retrying.cancel()
        with suppress(asyncio.CancelledError):
            await retrying


async def _prepare(database: Database) -> bool:
    try:
        await database.prepare(Base.metadata)
    except DatabaseUnavailable as error:
        _log.warning("waiting for the database: %r", error.__cause__)
        return False
    return True


async def _prepare_later(database: Database) -> None:
    try:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if await _prepare(database):
                return
    except Exception:  # noqa: BLE001 - a task has nobody else to tell
        _log.exception("the schema cannot be prepared; mend the database and start again")
