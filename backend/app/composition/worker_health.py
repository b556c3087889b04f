"""The health of a worker over HTTP, where it is asked for."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from app.api import health
from app.api.application import Application
from app.api.context import HealthState
from app.api.middleware.access_log import AccessLog
from app.api.middleware.authentication import Authentication
from app.api.problems import handlers
from app.config.settings import Settings
from app.server.http_server import Server
from app.services.readiness import Readiness


@asynccontextmanager
async def served_health(
    settings: Settings, listener: socket.socket, readiness: Readiness, stopping: asyncio.Event
) -> AsyncIterator[None]:
    """Answer `/health/live` and `/health/ready` until the end of the block.

    Args:
        settings: The bounds of the server.
        listener: Where connections arrive; closed at the end.
        readiness: Of the worker.
        stopping: Set when the worker takes no more jobs.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[HealthState]:
        yield HealthState(settings=settings, readiness=readiness, drain=stopping)

    app = Application(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(AccessLog, has_details=settings.log_format == "json"),
            Middleware(Authentication),
        ],
    )
    app.include_router(health.router)
    handlers.install_error_handlers(app)
    async with served(app, settings, listener):
        yield


@asynccontextmanager
async def served(app: FastAPI, settings: Settings, listener: socket.socket) -> AsyncIterator[None]:
    """Serve an application beside a worker until the end of the block.

    Args:
        app: The application.
        settings: The bounds of the server.
        listener: Where connections arrive; closed at the end.
    """

    async def beat() -> None:
        """Do nothing: the worker's own beats say more."""

    server = Server(app, settings, listener, beat)
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving
