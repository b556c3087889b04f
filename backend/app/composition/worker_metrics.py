"""The metrics of a worker that runs without a supervisor, where they are asked for."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from app.api import monitoring
from app.api.middleware.local_names import LocalNames
from app.api.monitoring import MetricsState
from app.composition.worker_health import served
from app.config.settings import Settings
from app.database.revisions import HEAD
from app.observability.metrics.collectors import BuildInfo
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.observer import MetricsObserver
from app.services.readiness import Readiness


class WorkerMetrics:
    """What one process observes, and answers by itself.

    Args:
        settings: The bounds of the server.
        listener: Where connections arrive.
    """

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._registry = CollectorRegistry()
        self._registry.register(BuildInfo(HEAD))
        self.observer = MetricsObserver(self._registry)

    @asynccontextmanager
    async def served(self, readiness: Readiness, stopping: asyncio.Event) -> AsyncIterator[None]:
        """Answer `/metrics` until the end of the block.

        Args:
            readiness: Of the worker.
            stopping: Set when the worker takes no more jobs.
        """

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[MetricsState]:
            yield MetricsState(
                settings=self._settings,
                readiness=readiness,
                drain=stopping,
                exposition=Exposition(self._registry),
            )

        app = FastAPI(
            lifespan=lifespan,
            openapi_url=None,
            redirect_slashes=False,
            middleware=[Middleware(LocalNames, host=self._listener.getsockname()[0])],
        )
        app.include_router(monitoring.router)
        async with served(app, self._settings, self._listener):
            yield
