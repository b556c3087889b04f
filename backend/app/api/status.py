"""How the service is, for operators, on the listener of METRICS_ADDRESS."""

from typing import Annotated, Final, cast

from fastapi import APIRouter, Header, Query, Request, Response

from app.api.monitoring import MetricsState
from app.api.status_page import POLICY, render_status
from app.schemas.status import document_of
from app.services.troubles import find_troubles
from app.services.watch import Watch

router = APIRouter()

REFRESH_SECONDS: Final = 10


class StatusState(MetricsState):
    """What the lifespan opens for the listener of a service."""

    watch: Watch


@router.get("/status")
async def show_status(
    request: Request,
    accept: Annotated[str, Header()] = "*/*",
    refresh: Annotated[str | None, Query()] = None,
) -> Response:
    """Answer 200 with a page, or with JSON for those who ask for that and for no page."""
    state = cast("StatusState", request.scope["state"])
    status = await state["watch"].look()
    troubles = find_troubles(status, state["settings"])
    headers = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
    if "application/json" in accept and "text/html" not in accept:
        document = document_of(status, troubles).model_dump_json()
        return Response(document, headers=headers, media_type="application/json")
    headers |= {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
    if refresh is not None:
        headers["Refresh"] = str(REFRESH_SECONDS)
    page = render_status(status, troubles, state["settings"], refreshes=refresh is not None)
    return Response(page, headers=headers, media_type="text/html")
