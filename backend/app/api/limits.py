"""The route of the limits, which a client may ask for before it uploads."""

from typing import Final

from fastapi import APIRouter

from app.api.context import ContextDep
from app.api.problems.kinds import UNKNOWN_HOST
from app.api.problems.openapi import documented
from app.imaging.formats import ImageType
from app.schemas.limits import LimitsOut

LIMITS_PATH: Final = "/api/v1/limits"

router = APIRouter(tags=["limits"])


@router.head(LIMITS_PATH, include_in_schema=False)
@router.get(LIMITS_PATH, summary="Get the limits of uploads", responses=documented(UNKNOWN_HOST))
async def get_limits(context: ContextDep) -> LimitsOut:
    """Return what an upload may be. Errors about a limit name it in the same way.

    `curl http://localhost:8000/api/v1/limits`
    """
    settings = context.settings
    return LimitsOut(
        access=settings.effective_access,
        accepted_types=list(ImageType),
        max_upload_bytes=settings.max_upload_bytes,
        batch_max_files=settings.batch_max_files,
        uploads_per_hour=settings.uploads_per_hour_per_ip or None,
        thumbnail_sizes=list(settings.thumbnail_sizes),
    )
