"""The routes of an image's file, whole or a range of it; `services/files.py` finds and opens it."""

from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from starlette.status import (
    HTTP_200_OK,
    HTTP_206_PARTIAL_CONTENT,
    HTTP_302_FOUND,
    HTTP_304_NOT_MODIFIED,
)

from app.api.access import MAY_HAVE_KEY
from app.api.conditional import PreconditionFailed, Selection, select
from app.api.context import ContextDep
from app.api.images.file_headers import fields_to_save, fields_to_show, kept_until
from app.api.images.file_response import FileResponse
from app.api.images.front import lease_fields, location_fields, renamed_fields
from app.api.images.paths import FILE_PATH
from app.api.images.redirect import redirect_fields
from app.api.images.viewing import SignatureDep, viewer_of
from app.api.problems.kinds import INTERNAL_ERROR, INVALID_REQUEST
from app.api.problems.openapi import described_headers, documented
from app.api.ranges import RangeNotSatisfiable
from app.domain.errors import DatabaseUnavailable, ImageDamaged, ImageNotFound, StorageUnavailable
from app.imaging.formats import ImageType
from app.services.files import FileReplaced, HotFile, ImageFiles
from app.services.signing import FILE
from app.services.viewing import Viewer

Download = Annotated[bool, Query(description="1 = save it instead of showing it")]

_REPLACED_AT_MOST: Final = 2
"""How often an image may be made private or public while a request for its file is answered."""
_BYTES: Final = {
    "headers": described_headers(
        {
            "Cache-Control": "public, for ever; of a private image private, until its address "
            "expires, or to be asked for each time",
            "Repr-Digest": "SHA-256 of the whole file, as sha-256=:base64: (RFC 9530), if known",
        }
    ),
    "content": {
        image_type.value: {"schema": {"type": "string", "format": "binary"}}
        for image_type in ImageType
    },
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    HTTP_200_OK: {"description": "The file, exactly as it was uploaded", **_BYTES},
    HTTP_206_PARTIAL_CONTENT: {"description": "The requested range of it", **_BYTES},
    HTTP_302_FOUND: {
        "description": "The file is in a store, at an address that soon expires",
        "headers": described_headers({"Location": "That address"}),
    },
    HTTP_304_NOT_MODIFIED: {"description": "The client's copy is current"},
    **documented(
        ImageNotFound,
        PreconditionFailed,
        RangeNotSatisfiable,
        INVALID_REQUEST,
        INTERNAL_ERROR,
        ImageDamaged,
        DatabaseUnavailable,
        StorageUnavailable,
    ),
}

router = APIRouter(tags=["images"])


@router.head(
    FILE_PATH,
    name="head_image_file",
    summary="Ask about an image's file",
    response_class=Response,
    openapi_extra=MAY_HAVE_KEY,
    responses=_RESPONSES,
)
@router.get(
    FILE_PATH,
    summary="Get an image's file",
    response_class=Response,
    openapi_extra=MAY_HAVE_KEY,
    responses=_RESPONSES,
)
async def get_image_file(
    request: Request,
    image_id: UUID,
    context: ContextDep,
    signature: SignatureDep,
    *,
    download: Download = False,
) -> Response:
    """Send the bytes as they are stored. The URL can be linked to and cached for ever.

    That of a private image is signed, and expires; without a signature it needs a key. The name to
    save it under is the image's, with the extension of its type.
    """
    files = context.services.files
    viewer = viewer_of(context, FILE, signature)
    for is_last in (*[False] * _REPLACED_AT_MOST, True):
        file = await files.find(image_id, viewer)
        try:
            response = await file_response(request, files, file, viewer, download=download)
        except FileReplaced:
            if is_last:
                raise
        else:
            response.count = partial(context.services.statistics.count, image_id)
            return response
    raise AssertionError  # the last attempt has returned or raised


async def file_response(
    request: Request, files: ImageFiles, file: HotFile, viewer: Viewer, *, download: bool
) -> FileResponse:
    """Return the answer to a request for a file, original or thumbnail, that has been found.

    Raises:
        FileReplaced: If the image has got another original since.
        PreconditionFailed: If the request must not be carried out.
        RangeNotSatisfiable: If it asks for a range outside the file.
        ImageHostError: As `ImageFiles.open`.
    """
    fields = file.derive(fields_to_save if download else fields_to_show)
    if viewer.until and not download:
        fields = kept_until(fields, viewer.until)
    is_leased = files.lease and file.is_public and not download
    lease = lease_fields(request, files) if is_leased else ()
    try:
        selection = select(request.method, request.headers, fields.file)
    except (PreconditionFailed, RangeNotSatisfiable):
        await files.require_present(file)
        raise
    if selection.status == HTTP_304_NOT_MODIFIED:
        if not (lease and file.is_renamed):
            await files.require_present(file)
            return FileResponse(HTTP_304_NOT_MODIFIED, [*fields.common, *lease])
        # nginx would go on with the header fields that it has, and with the previous name.
        selection = Selection(HTTP_200_OK, 0, file.size)
    if files.lease and not lease and (location := await location_fields(request, files, file)):
        made = renamed_fields(fields.common + fields.representation)
        return FileResponse(HTTP_200_OK, [*made, *location], length=file.size)
    if files.redirects and (
        target := await redirect_fields(
            request, files, file, fields, until=viewer.until, download=download
        )
    ):
        return FileResponse(HTTP_302_FOUND, list(target), length=file.size)
    length_field = (b"content-length", b"%d" % selection.length)
    headers = [*fields.common, *fields.representation, length_field, *lease]
    if selection.status == HTTP_206_PARTIAL_CONTENT:
        end = selection.start + selection.length - 1
        content_range = b"bytes %d-%d/%d" % (selection.start, end, file.size)
        headers.append((b"content-range", content_range))
    length = 0 if request.method == "HEAD" else selection.length
    reader = await files.open(file, selection.start, length)
    return FileResponse(selection.status, headers, reader, length, selection.start)
