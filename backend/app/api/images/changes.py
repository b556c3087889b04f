"""Changes of stored images: another name or visibility; deletion, of one or of many."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.status import HTTP_200_OK, HTTP_204_NO_CONTENT

from app.api.access import Deleter, DeleterOrHolder, Writer
from app.api.context import ContextDep
from app.api.images.paths import BATCH_DELETE_PATH, IMAGE_PATH
from app.api.images.shown import show
from app.api.json_body import UnsupportedMediaType, described_body, read_json
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.kinds import CROSS_SITE_REQUEST, INVALID_REQUEST, problem_of
from app.api.problems.openapi import documented
from app.domain.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    ImageDamaged,
    ImageNotFound,
    InvalidFilename,
    StorageFull,
    StorageUnavailable,
)
from app.schemas.changes import DeletedImages, FailedDeletion, ImageChanges, ImagesToDelete
from app.schemas.image import ImageOut

_PROBLEMS = (CROSS_SITE_REQUEST, DatabaseUnavailable, DatabaseFull)
"""Those that all these calls may be answered with."""
_BODY_PROBLEMS = (RequestTooSlow, BodyTooLarge, UnsupportedMediaType, INVALID_REQUEST)

router = APIRouter(tags=["images"])


@router.patch(
    IMAGE_PATH,
    name="rename_image",  # as in earlier versions: generated clients have methods of this name
    summary="Rename an image, or make it private or public",
    openapi_extra=described_body(ImageChanges),
    responses={
        HTTP_200_OK: {"description": "The image as it is now"},
        **documented(
            *_PROBLEMS,
            *_BODY_PROBLEMS,
            ImageNotFound,
            InvalidFilename,
            ImageDamaged,
            StorageUnavailable,
            StorageFull,
        ),
    },
)
async def change_image(
    request: Request, image_id: UUID, context: ContextDep, actor: Writer
) -> ImageOut:
    """Give an image another name, or change who may fetch its file and its thumbnails.

    What is saved of it has the new name. The addresses of a private image are signed, and expire;
    those that it had before are worth nothing.

    `curl -X PATCH --json '{"filename": "holiday.jpg"}' http://localhost:8000/api/v1/images/…`
    """
    changes = await read_json(request, ImageChanges)
    image = await context.services.visibility.change(
        image_id, is_public=changes.is_public, filename=changes.filename, actor=actor
    )
    return await show(context, image, ImageOut)


@router.delete(
    IMAGE_PATH,
    status_code=HTTP_204_NO_CONTENT,
    response_class=Response,
    summary="Delete an image",
    responses={
        HTTP_204_NO_CONTENT: {"description": "The image is gone"},
        **documented(*_PROBLEMS, ImageNotFound),
    },
)
async def delete_image(image_id: UUID, context: ContextDep, actor: DeleterOrHolder) -> None:
    """Delete an image and its file, for good. Whoever has its `delete_token` needs no API key.

    `curl -X DELETE -H "X-Delete-Token: …" http://localhost:8000/api/v1/images/…`
    """
    await context.services.deletion.delete(image_id, actor)


@router.post(
    BATCH_DELETE_PATH,
    summary="Delete several images",
    openapi_extra=described_body(ImagesToDelete),
    responses={
        HTTP_200_OK: {"description": "The images are gone; `failed` has those that there were not"},
        **documented(*_PROBLEMS, *_BODY_PROBLEMS),
    },
)
async def delete_images(request: Request, context: ContextDep, actor: Deleter) -> DeletedImages:
    """Delete images and their files, for good: all that there are, at once. An id counts once.

    `curl --json '{"ids": ["…", "…"]}' http://localhost:8000/api/v1/images/batch-delete`
    """
    ids = dict.fromkeys((await read_json(request, ImagesToDelete)).ids)
    gone = await context.services.deletion.delete_batch(ids, actor)
    status = problem_of(ImageNotFound).status
    return DeletedImages(
        deleted=[one for one in ids if one in gone],
        failed=[
            FailedDeletion(id=one, status=status, detail=str(ImageNotFound(one)))
            for one in ids
            if one not in gone
        ],
    )
