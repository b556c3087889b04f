"""Links to private images."""

from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.status import HTTP_201_CREATED

from app.api.access import Writer
from app.api.context import ContextDep
from app.api.images.paths import LINKS_PATH
from app.api.json_body import UnsupportedMediaType, described_body, read_json
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.kinds import CROSS_SITE_REQUEST, INVALID_REQUEST
from app.api.problems.openapi import documented
from app.domain.errors import DatabaseUnavailable, ImageIsPublic, ImageNotFound
from app.schemas.links import LinkOut, LinkWanted

router = APIRouter(tags=["images"])


@router.post(
    LINKS_PATH,
    status_code=HTTP_201_CREATED,
    summary="Make a link to a private image",
    openapi_extra=described_body(LinkWanted),
    responses={
        HTTP_201_CREATED: {"description": "The link"},
        **documented(
            CROSS_SITE_REQUEST,
            RequestTooSlow,
            BodyTooLarge,
            UnsupportedMediaType,
            INVALID_REQUEST,
            ImageNotFound,
            ImageIsPublic,
            DatabaseUnavailable,
        ),
    },
)
async def make_link(
    request: Request, image_id: UUID, context: ContextDep, actor: Writer
) -> LinkOut:
    """Make an address by which anybody can get the file of a private image, until it expires.

    Making the image public, and private again, ends all its links.

    `curl --json '{"expires_in": 86400}' http://localhost:8000/api/v1/images/…/links`
    """
    wanted = await read_json(request, LinkWanted)
    link = await context.services.links.make(image_id, wanted.expires_in, actor)
    return LinkOut(
        url=f"{context.images_url}/{image_id}/file?{link.query}",
        expires_at=datetime.fromtimestamp(link.expires, UTC),
    )
