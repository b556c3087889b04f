"""The application of METRICS_ADDRESS: it answers for all processes of a service (ADR 68)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from app.api import monitoring
from app.api.monitoring import MetricsState
from app.composition.resources import open_resources
from app.composition.roles import METRICS
from app.config.settings import Settings
from app.database.revisions import HEAD
from app.observability.metrics.collectors import BuildInfo, ProcessCounts
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.merging import MergedFiles
from app.services.identity import StorageIdentity
from app.services.readiness import Readiness


def create_metrics_app(settings: Settings, folder: Path) -> FastAPI:
    """Build the application; its lifespan opens the resources.

    Args:
        settings: Of the service.
        folder: Where its processes keep their metrics.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[MetricsState]:
        async with AsyncExitStack() as opened:
            resources = await opened.enter_async_context(open_resources(settings, METRICS))
            database, storage, cache = resources
            if cache:
                cache.connect()
            identity = StorageIdentity(database, storage)
            registry = CollectorRegistry()
            registry.register(BuildInfo(HEAD))
            registry.register(ProcessCounts(folder))
            yield MetricsState(
                settings=settings,
                readiness=Readiness(database, storage, identity, cache),
                drain=asyncio.Event(),
                exposition=Exposition(registry, MergedFiles(folder)),
            )

    app = FastAPI(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(monitoring.router)
    return app
