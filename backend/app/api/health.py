"""Whether the process is alive, and whether the service can do its work."""

import asyncio
import logging

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app import __version__
from app.api.context import ContextDep
from app.api.problems.kinds import NOT_READY
from app.api.problems.openapi import documented
from app.cache.base import CacheFigures
from app.observability.reasons import reason

_log = logging.getLogger(__name__)

router = APIRouter(prefix="/health", tags=["health"])


class Health(BaseModel):
    """A healthy state."""

    status: str = Field(examples=["ok"])


class Queue(BaseModel):
    """The jobs that wait."""

    oldest_seconds: int = Field(examples=[2], description="How long the oldest one has waited")


class Cache(BaseModel):
    """The cache of rows, as this process has seen it since its start."""

    available: bool
    hits: int = Field(examples=[9000], description="Rows found in it")
    misses: int = Field(examples=[1000], description="Rows looked up in it and not found")
    errors: int = Field(examples=[0], description="Operations that failed")
    mean_ms: float = Field(examples=[0.4], description="Milliseconds an operation")


class Readiness(Health):
    """A process that can do its work."""

    queue: Queue | None = Field(
        None, description="A fact, no failure; absent where it cannot be determined"
    )
    cache: Cache | None = Field(None, description="A fact, no failure; absent without REDIS_URL")


class Liveness(Health):
    """A live process."""

    version: str = Field(examples=[__version__], description="Of the service")


@router.head("/live", include_in_schema=False)
@router.get("/live", summary="Is the process alive?")
async def live() -> Liveness:
    """Answer without asking anything else: a failure means that the process should be restarted."""
    return Liveness(status="ok", version=__version__)


@router.head(
    "/ready",
    response_model=Readiness,
    response_model_exclude_none=True,
    include_in_schema=False,
)
@router.get(
    "/ready",
    summary="Can it take requests?",
    response_model=Readiness,
    response_model_exclude_none=True,
    responses=documented(NOT_READY),
)
async def ready(context: ContextDep) -> Readiness | Response:
    """Ask the database and the storage, at most once a second; `down` names those that fail.

    A service that is stopping is not ready either, and nothing is down.
    """
    if context.is_draining:
        _log.info("%s: the service is stopping", NOT_READY.slug)
        return NOT_READY.response("The service is stopping.", down=[])
    outages, oldest = await asyncio.gather(
        context.readiness.outages(), context.readiness.oldest_job_seconds()
    )
    if not outages:
        queue = None if oldest is None else Queue(oldest_seconds=oldest)
        return Readiness(status="ok", queue=queue, cache=_cache(context.readiness.cache_figures()))
    for name, error in outages.items():
        _log.info("%s: %s: %s", NOT_READY.slug, name, reason(error))
    return NOT_READY.response(
        f"Not available at the moment: {', '.join(outages)}.", down=list(outages)
    )


def _cache(figures: CacheFigures | None) -> Cache | None:
    if figures is None:
        return None
    return Cache(
        available=figures.is_available,
        hits=figures.hits,
        misses=figures.misses,
        errors=figures.errors,
        mean_ms=round(figures.mean_ms, 3),
    )
