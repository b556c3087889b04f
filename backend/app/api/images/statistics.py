"""The route of an image's statistics."""

from uuid import UUID

from fastapi import APIRouter

from app.api.access import Reader
from app.api.context import ContextDep
from app.api.images.paths import STATISTICS_PATH
from app.api.problems.openapi import documented
from app.domain.errors import DatabaseUnavailable, ImageNotFound
from app.schemas.statistics import StatisticsOut

router = APIRouter(tags=["images"])


@router.head(STATISTICS_PATH, include_in_schema=False)
@router.get(
    STATISTICS_PATH,
    summary="Get an image's downloads",
    responses=documented(ImageNotFound, DatabaseUnavailable),
)
async def get_image_statistics(image_id: UUID, context: ContextDep, actor: Reader) -> StatisticsOut:
    """Return how often the file was downloaded, in all and by day, up to 5 seconds ago.

    A download is an answer with the file from its first byte on; the bytes of other ranges count,
    too. Not counted are thumbnails, `304`, and what browsers and nginx in front answer from their
    caches. Where nginx or a store sends the file for the service, it counts as sent.
    """
    statistics = await context.services.statistics.find(image_id, actor)
    return StatisticsOut.model_validate(statistics)
