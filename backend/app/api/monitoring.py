"""What the metrics listener answers."""

from typing import cast

from fastapi import APIRouter, Request, Response

from app.api.context import HealthState
from app.observability.metrics.exposition import CONTENT_TYPE, Exposition

router = APIRouter()


class MetricsState(HealthState):
    """What the lifespan opens for the metrics listener."""

    exposition: Exposition


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return all metrics, as Prometheus reads them."""
    state = cast("MetricsState", request.scope["state"])
    return Response(state["exposition"].render(), headers={"Content-Type": CONTENT_TYPE})
