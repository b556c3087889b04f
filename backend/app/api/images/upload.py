"""Uploads: one image, or a batch. The body is read as it arrives (ADR 0002)."""

from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.status import (
    HTTP_200_OK,
    HTTP_201_CREATED,
    HTTP_207_MULTI_STATUS,
    HTTP_500_INTERNAL_SERVER_ERROR,
)

from app.api.access import Uploader
from app.api.context import Context, ContextDep
from app.api.forms.rejections import (
    FORM_MEDIA_TYPE,
    MalformedMultipart,
    MissingField,
    UnsupportedBody,
)
from app.api.forms.request import read_form
from app.api.images.paths import BATCH_PATH, UPLOAD_PATH
from app.api.images.repeatable import KEY_PARAMETER, RepeatableRoute
from app.api.images.shown import show, show_all
from app.api.middleware.request_body import FORM_ALLOWANCE, BodyTooLarge, RequestTooSlow
from app.api.problems.handlers import problem_response, report
from app.api.problems.kinds import CROSS_SITE_REQUEST, NO_FILE_STORED, problem_of
from app.api.problems.openapi import described_headers, documented
from app.api.problems.problem import FILE_PROBLEMS
from app.domain import errors, user_errors
from app.domain.actor import Actor
from app.domain.image import ExistingImage, Image
from app.imaging.formats import ImageType
from app.schemas.image import UPLOADED_EXAMPLE, BatchOut, FailedFile, ImageOut, UploadedImageOut
from app.services.idempotency import keyed_file, keyed_files
from app.services.staging import IncomingFile
from app.services.upload import FailedUpload

_STRIP_METADATA: Final = {
    "type": "boolean",
    "description": "Whether what cameras and programs wrote into the file, such as the place where "
    "a photograph was taken, is removed before it is stored; pixels, orientation and colours stay. "
    "Must come before the file. Absent = as the setting STRIP_METADATA says, which usually is "
    "false. The metadata of AVIF and HEIC images cannot be removed.",
    "examples": [True],
}
_IS_PUBLIC: Final = {
    "type": "boolean",
    "description": "Whether anybody may fetch the file and its thumbnails; absent = true. Of a "
    "private image the addresses are signed, and expire; where uploads need no key, it needs one. "
    "Must come before the file.",
    "examples": [True],
}
_ON_DUPLICATE: Final = {
    "type": "string",
    "enum": ["store", "return"],
    "description": "What becomes of a file whose bytes, as they would be stored, are already those "
    "of an image of the same owner that is as public: it is stored once more (store, the default), "
    "or that image is returned with status 200, in a batch under `existing` (return). Of two sent "
    "at the same moment both may be stored. Images that nobody owns are never returned with "
    "ACCESS=upload. Must come before the file.",
    "examples": ["store"],
}
_FILE: Final = {"type": "string", "format": "binary", "description": "An image"}
_LINKS: Final = {
    name: {"operationId": name, "parameters": {"image_id": "$response.body#/id"}}
    for name in (
        *("get_image", "get_image_file", "get_image_thumbnail"),
        *("rename_image", "delete_image"),
    )
}
"""What can be done next with the image that an answer carries."""
_PROBLEMS: Final = (
    CROSS_SITE_REQUEST,
    MalformedMultipart,
    RequestTooSlow,
    BodyTooLarge,
    UnsupportedBody,
    MissingField,
    errors.UploadUnderWay,
    errors.IdempotencyKeyReused,
    errors.QuotaExceeded,
    errors.StorageQuotaExceeded,
    errors.DatabaseUnavailable,
    errors.DatabaseFull,
    errors.StorageUnavailable,
    errors.StorageFull,
)
"""Those that both calls may be answered with."""


def _body(field: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a form for OpenAPI, because FastAPI does not see the stream being read."""
    form = {
        "schema": {
            "type": "object",
            "required": [field],
            "properties": {
                "strip_metadata": _STRIP_METADATA,
                "is_public": _IS_PUBLIC,
                "on_duplicate": _ON_DUPLICATE,
                field: schema,
            },
        },
        "encoding": {field: {"contentType": ", ".join(ImageType)}},
    }
    return {
        "parameters": [KEY_PARAMETER],
        "requestBody": {"required": True, "content": {FORM_MEDIA_TYPE: form}},
    }


router = APIRouter(tags=["images"], route_class=RepeatableRoute)


@router.post(
    UPLOAD_PATH,
    status_code=HTTP_201_CREATED,
    response_model=UploadedImageOut,
    summary="Upload an image",
    openapi_extra=_body("file", _FILE),
    responses={
        HTTP_201_CREATED: {
            "description": "The image is stored, and durable",
            "headers": described_headers({"Location": "URL of the image"}),
            "links": _LINKS,
        },
        HTTP_200_OK: {
            "description": "With `on_duplicate=return`: the image that has these bytes already, as "
            "it is; nothing is stored, and there is no token",
            "model": ImageOut,
            "headers": described_headers({"Location": "URL of the image"}),
            "links": _LINKS,
        },
        **documented(
            *_PROBLEMS,
            errors.InvalidFileType,
            errors.EmptyFile,
            errors.FileTooLarge,
            errors.MetadataNotRemovable,
        ),
    },
)
async def upload_image(request: Request, context: ContextDep, actor: Uploader) -> Response:
    """Store a JPEG, PNG, GIF, WebP, AVIF or HEIC image, sent as the field `file` of a form.

    `curl -F strip_metadata=true -F file=@photo.jpg http://localhost:8000/api/v1/images/upload`
    """
    await _prepare(context)
    file = await read_form(request, "file").file("file")
    _require_may_hide(actor, file)
    file = file._replace(least_bytes=_least_bytes(request))
    if context.keyed:
        file = keyed_file(context.keyed, file)
    image = await context.services.uploads.upload(file, context.client_address, actor.user_id)
    location = {"Location": f"{context.images_url}/{image.id}"}
    if isinstance(image, ExistingImage):
        return _described(await show(context, image, ImageOut), HTTP_200_OK, location)
    return _described(await _shown(image, context), HTTP_201_CREATED, location)


@router.post(
    BATCH_PATH,
    status_code=HTTP_201_CREATED,
    response_model=BatchOut,
    summary="Upload several images",
    openapi_extra=_body("files", {"type": "array", "minItems": 1, "items": _FILE}),
    responses={
        HTTP_201_CREATED: {
            "description": "All images are stored, or were already",
            "content": {
                "application/json": {
                    "example": {"uploaded": [UPLOADED_EXAMPLE], "existing": [], "failed": []}
                }
            },
        },
        HTTP_200_OK: {
            "description": "With `on_duplicate=return`: all images were there already",
            "model": BatchOut,
        },
        HTTP_207_MULTI_STATUS: {
            "description": "Some images are stored; `failed` has the reasons for the others",
            "model": BatchOut,
        },
        **documented(*_PROBLEMS, NO_FILE_STORED, errors.TooManyFiles),
    },
)
async def upload_batch(request: Request, context: ContextDep, actor: Uploader) -> JSONResponse:
    """Store several images, sent as the repeated field `files` of a form.

    Each file stands alone, and nothing is stored before the whole form has arrived. The field
    `strip_metadata` comes before the first file and is for all of them.

    `curl -F files=@a.jpg -F files=@b.png http://localhost:8000/api/v1/images/batch`
    """
    await _prepare(context)
    files = _permitted(actor, read_form(request, "files").files("files"))
    if context.keyed:
        files = keyed_files(context.keyed, files)
    results = await context.services.uploads.upload_batch(
        files, context.client_address, actor.user_id
    )
    failures = [result for result in results if isinstance(result, FailedUpload)]
    for failure in failures:
        report(failure.error, context.readiness)
    uploaded = [await _shown(image, context) for image in results if type(image) is Image]
    existing = await show_all(
        context, [image for image in results if isinstance(image, ExistingImage)]
    )
    failed = [
        FailedFile(filename=filename, status=problem_of(error).status, detail=str(error))
        for filename, error in failures
    ]
    request.scope[FILE_PROBLEMS] = [problem_of(error).slug for _, error in failures]
    if context.keyed:
        context.keyed.is_final = not any(_may_succeed_later(error) for _, error in failures)
    content = BatchOut(uploaded=uploaded, existing=existing, failed=failed).model_dump(mode="json")
    if failed and (uploaded or existing):
        return JSONResponse(content, HTTP_207_MULTI_STATUS)
    if not failed:
        return JSONResponse(content, HTTP_201_CREATED if uploaded else HTTP_200_OK)
    worst = max((failure.error for failure in failures), key=lambda error: problem_of(error).status)
    if problem_of(worst).status >= HTTP_500_INTERNAL_SERVER_ERROR:
        return problem_response(worst, content)
    return NO_FILE_STORED.response(**content)


async def _prepare(context: Context) -> None:
    """Make sure, before the first byte is read, of all that need not wait for it.

    Raises:
        QuotaExceeded: If the address has used up its quota, and nothing is stored already.
        DatabaseUnavailable: If the database cannot be asked.
    """
    await context.services.delete_tokens.prepare()
    if not (context.keyed and context.keyed.may_have_stored):
        await context.services.uploads.require_place(context.client_address)


def _least_bytes(request: Request) -> int:
    """Return how many bytes the one file of a form has at least, by what the head says."""
    return max(1, int(request.headers.get("content-length", "0")) - FORM_ALLOWANCE)


def _may_succeed_later(error: errors.ImageHostError) -> bool:
    """Return whether a file that was refused may be stored where it is sent again."""
    is_of_quota = isinstance(error, errors.QuotaExceeded | errors.StorageQuotaExceeded)
    return is_of_quota or problem_of(error).status >= HTTP_500_INTERNAL_SERVER_ERROR


async def _permitted(
    actor: Actor, files: AsyncIterator[IncomingFile]
) -> AsyncIterator[IncomingFile]:
    """Iterate over files as long as the actor may upload each of them."""
    async for file in files:
        _require_may_hide(actor, file)
        yield file


def _require_may_hide(actor: Actor, file: IncomingFile) -> None:
    """Refuse a private file of somebody who could not fetch it.

    Raises:
        InvalidKey: If it is.
    """
    if not (file.options.is_public or actor.may_hide):
        raise user_errors.InvalidKey


def _described(image: ImageOut, status: int, headers: dict[str, str]) -> Response:
    """Return the answer that describes one image."""
    return Response(image.model_dump_json(), status, headers, "application/json")


async def _shown(image: Image, context: Context) -> UploadedImageOut:
    """Return an image as whoever uploaded it sees it, who alone gets its token."""
    token = await context.services.delete_tokens.of(image.id)
    return await show(
        context,
        image,
        UploadedImageOut,
        delete_token=token,
        delete_url=f"{context.base_url}/delete#{image.id}.{token}",
    )
