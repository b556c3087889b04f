"""What the metrics listener answers."""

from typing import Annotated, cast

from fastapi import APIRouter, Header, Request, Response

from app.api.context import HealthState
from app.observability.metrics.exposition import Exposition

router = APIRouter()


class MetricsState(HealthState):
    """What the lifespan opens for the metrics listener."""

    exposition: Exposition


@router.get("/metrics")
async def metrics(request: Request, accept: Annotated[str, Header()] = "*/*") -> Response:
    """Return all metrics, as Prometheus reads them."""
    state = cast("MetricsState", request.scope["state"])
    body, content_type = state["exposition"].render(accept)
    return Response(body, headers={"Content-Type": content_type})
