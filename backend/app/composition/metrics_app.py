"""The application of METRICS_ADDRESS: it answers for all processes of a service (ADR 68)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware

from app.api import monitoring, status
from app.api.middleware.local_names import LocalNames
from app.api.status import StatusState
from app.composition.resources import open_resources
from app.composition.roles import METRICS
from app.config.settings import Settings
from app.database.revisions import HEAD
from app.observability.metrics.collectors import BuildInfo, ProcessCounts
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.figures import FiguresCollector
from app.observability.metrics.merging import MergedFiles
from app.observability.observer import SILENT, Observer
from app.services.figures import FigureReader
from app.services.identity import StorageIdentity
from app.services.readiness import Readiness
from app.services.watch import Watch


def create_metrics_app(settings: Settings, folder: Path, observer: Observer = SILENT) -> FastAPI:
    """Build the application; its lifespan opens the resources.

    Args:
        settings: Of the service.
        folder: Where its processes keep their metrics.
        observer: Told what answering takes.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[StatusState]:
        async with AsyncExitStack() as opened:
            resources = await opened.enter_async_context(
                open_resources(settings, METRICS, observer)
            )
            database, storage, cache = resources
            if cache:
                cache.connect()
            identity = StorageIdentity(database, storage)
            readiness = Readiness(database, storage, identity, cache)
            opened.push_async_callback(readiness.close)
            figures = FigureReader(database, storage, cache, readiness)
            opened.push_async_callback(figures.close)
            watch = Watch(figures, folder)
            await opened.enter_async_context(watch.following())
            registry = CollectorRegistry()
            registry.register(BuildInfo(HEAD))
            registry.register(ProcessCounts(folder))
            registry.register(FiguresCollector(lambda: figures.latest))
            yield StatusState(
                settings=settings,
                readiness=readiness,
                drain=asyncio.Event(),
                exposition=Exposition(registry, MergedFiles(folder)),
                watch=watch,
            )

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(LocalNames, host=settings.metrics_listener[0])],
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(monitoring.router)
    app.include_router(status.router)
    return app
