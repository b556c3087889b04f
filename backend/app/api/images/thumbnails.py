"""The route of an image's thumbnails: found and sent as its file is, rendered first if need be."""

from contextlib import suppress
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from starlette.status import HTTP_200_OK, HTTP_206_PARTIAL_CONTENT, HTTP_304_NOT_MODIFIED

from app.api.access import MAY_HAVE_KEY
from app.api.conditional import PreconditionFailed
from app.api.context import ContextDep
from app.api.disconnection import while_connected
from app.api.images.files import Download, file_response
from app.api.images.paths import THUMBNAIL_PATH
from app.api.images.viewing import SignatureDep, viewer_of
from app.api.problems.kinds import INTERNAL_ERROR, INVALID_REQUEST
from app.api.problems.openapi import documented
from app.api.ranges import RangeNotSatisfiable
from app.domain.errors import (
    DatabaseUnavailable,
    ImageNotFound,
    ImageNotRenderable,
    StorageUnavailable,
    ThumbnailNotReady,
    UnknownThumbnailSize,
)
from app.domain.thumbnails import CONTENT_TYPE

_BYTES: Final = {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    HTTP_200_OK: {"description": "The thumbnail", **_BYTES},
    HTTP_206_PARTIAL_CONTENT: {"description": "The requested range of it", **_BYTES},
    HTTP_304_NOT_MODIFIED: {"description": "The client's copy is current"},
    **documented(
        ImageNotFound,
        UnknownThumbnailSize,
        PreconditionFailed,
        RangeNotSatisfiable,
        ImageNotRenderable,
        INVALID_REQUEST,
        INTERNAL_ERROR,
        ThumbnailNotReady,
        DatabaseUnavailable,
        StorageUnavailable,
    ),
}

router = APIRouter(tags=["images"])


@router.head(
    THUMBNAIL_PATH,
    name="head_image_thumbnail",
    summary="Ask about an image's thumbnail",
    response_class=Response,
    openapi_extra=MAY_HAVE_KEY,
    responses=_RESPONSES,
)
@router.get(
    THUMBNAIL_PATH,
    summary="Get an image's thumbnail",
    response_class=Response,
    openapi_extra=MAY_HAVE_KEY,
    responses=_RESPONSES,
)
async def get_image_thumbnail(  # noqa: PLR0913 - the parts of the request
    request: Request,
    image_id: UUID,
    size: Annotated[
        str,
        Path(
            description="Most pixels of its longer side: one of `thumbnail_sizes` of the limits",
            examples=["300"],
            json_schema_extra={"format": "thumbnail-size"},
        ),
    ],
    context: ContextDep,
    signature: SignatureDep,
    *,
    download: Download = False,
) -> Response:
    """Send a smaller WebP image, which can be linked to and cached as the file can.

    It is never larger than the image. One that is not rendered yet is rendered while the request
    waits, for up to 5 seconds.
    """
    thumbnails, files = context.services.thumbnails, context.services.files
    viewer = viewer_of(context, size, signature)
    if known := await thumbnails.find(image_id, size, viewer):
        with suppress(ThumbnailNotReady):  # others since it was remembered, or lost
            return await file_response(request, files, known, viewer, download=download)
    rendered = await while_connected(request, thumbnails.render(image_id, size, viewer))
    return await file_response(request, files, rendered, viewer, download=download)
