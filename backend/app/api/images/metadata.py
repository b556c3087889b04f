"""The metadata of images: of one, and of a page of them."""

from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Response
from starlette.status import HTTP_200_OK

from app.api.access import Reader
from app.api.context import ContextDep
from app.api.images.cursor import InvalidCursor, decode_cursor, encode_cursor
from app.api.images.filters import NAMES, FiltersDep
from app.api.images.paths import COUNT_PATH, IMAGE_PATH, IMAGES_PATH
from app.api.images.shown import show, show_all
from app.api.problems.kinds import INVALID_REQUEST
from app.api.problems.openapi import described_headers, documented
from app.domain.errors import DatabaseUnavailable, ImageNotFound
from app.schemas.image import ImageCountOut, ImageDetailsOut, ImageList

router = APIRouter(tags=["images"])


@router.head(IMAGES_PATH, include_in_schema=False)
@router.get(
    IMAGES_PATH,
    summary="List images",
    responses={
        HTTP_200_OK: {
            "description": "A page of images",
            "headers": described_headers(
                {"Link": 'The next page, rel="next" (RFC 8288), where there is one'}
            ),
        },
        **documented(InvalidCursor, DatabaseUnavailable),
    },
)
async def list_images(  # noqa: PLR0913 - one a parameter of the call
    response: Response,
    context: ContextDep,
    *,
    actor: Reader,
    filters: FiltersDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Most images on the page")] = 20,
    cursor: Annotated[
        str | None,
        Query(
            description="The next_cursor of the page before",
            json_schema_extra={"format": "cursor"},
        ),
    ] = None,
) -> ImageList:
    """List images, newest first. Every page costs the same, however far down it is.

    `curl "http://localhost:8000/api/v1/images?q=beach&type=image/jpeg&from=2026-11-01"`
    """
    after = decode_cursor(cursor) if cursor is not None else None
    page = await context.services.images.page(limit, after, filters, actor)
    next_cursor = encode_cursor(page.next) if page.next else None
    if next_cursor:
        sent = {name: value for name, value in context.query_params.items() if name in NAMES}
        query = urlencode({"limit": limit} | sent | {"cursor": next_cursor})
        response.headers["Link"] = f'<{context.images_url}?{query}>; rel="next"'
    return ImageList(
        items=await show_all(context, page.items),
        next_cursor=next_cursor,
    )


@router.head(COUNT_PATH, include_in_schema=False)
@router.get(
    COUNT_PATH,
    summary="Count images",
    responses=documented(INVALID_REQUEST, DatabaseUnavailable),
)
async def count_images(context: ContextDep, actor: Reader, filters: FiltersDep) -> ImageCountOut:
    """Count the images that a list with these filters has, up to 10,000."""
    number, is_exact = await context.services.images.count(filters, actor)
    return ImageCountOut(count=number, exact=is_exact)


@router.head(IMAGE_PATH, include_in_schema=False)
@router.get(
    IMAGE_PATH,
    summary="Get an image's metadata",
    responses=documented(ImageNotFound, DatabaseUnavailable),
)
async def get_image(image_id: UUID, context: ContextDep, actor: Reader) -> ImageDetailsOut:
    """Return what is known of an image, and what its camera wrote into the file."""
    image, metadata = await context.services.images.details(image_id, actor)
    return await show(context, image, ImageDetailsOut, metadata=metadata)
