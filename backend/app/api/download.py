"""An image's bytes, whole or a span of them, on their way to browsers and caches."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.status import HTTP_200_OK, HTTP_206_PARTIAL_CONTENT, HTTP_304_NOT_MODIFIED
from starlette.types import Receive, Scope, Send

from app.api.conditional import FileState, PreconditionFailed, RangeNotSatisfiable, select
from app.api.dependencies import Context, ContextDep
from app.api.metadata import IMAGE_PATH
from app.api.problems import INTERNAL_ERROR, INVALID_REQUEST, documented
from app.errors import DatabaseUnavailable, ImageDamaged, ImageNotFound, StorageUnavailable
from app.image_types import ImageType
from app.services.storage.base import ObjectReader

FILE_PATH: Final = f"{IMAGE_PATH}/file"

_UNCHANGING: Final = "public, max-age=31536000, immutable"
_HARMLESS: Final = "default-src 'none'; sandbox"
"""Opened by itself, the file may run and load nothing, whatever a browser takes it for."""
_BYTES: Final = {
    image_type.value: {"schema": {"type": "string", "format": "binary"}} for image_type in ImageType
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    HTTP_200_OK: {"description": "The file, exactly as it was uploaded", "content": _BYTES},
    HTTP_206_PARTIAL_CONTENT: {
        "description": "The range of it that was asked for",
        "content": _BYTES,
    },
    HTTP_304_NOT_MODIFIED: {"description": "The client's copy is still good"},
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


class _DirectRoute(APIRoute):
    """Calls `get_image_file` without FastAPI's resolution of what it asks for.

    That costs several times what the service itself does for a file at hand (ADR 0013). A request
    with a query takes the ordinary way to the same function.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["query_string"] or scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        image_id = scope["path_params"]["image_id"]
        response = await get_image_file(request, image_id, Context(request))
        await response(scope, receive, send)


router = APIRouter(tags=["images"], route_class=_DirectRoute)


@router.head(
    FILE_PATH,
    operation_id="head_image_file",
    summary="Ask about an image's file",
    response_class=Response,
    responses=_RESPONSES,
)
@router.get(
    FILE_PATH,
    operation_id="get_image_file",
    summary="Get an image's file",
    response_class=Response,
    responses=_RESPONSES,
)
async def get_image_file(
    request: Request,
    image_id: UUID,
    context: ContextDep,
    *,
    download: Annotated[bool, Query(description="1 = save it instead of showing it")] = False,
) -> Response:
    """Send the bytes as they were uploaded. The address can be linked to and cached for ever."""
    image = await context.service.get_present(image_id)
    file = FileState(f'"{image.id.hex}"', image.created_at.replace(microsecond=0), image.file_size)
    selection = select(request.method, request.headers, file)
    headers = {
        "ETag": file.etag,
        "Last-Modified": file.last_modified,
        "Cache-Control": _UNCHANGING,
    }
    if selection.status == HTTP_304_NOT_MODIFIED:
        return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    headers |= {
        "Content-Type": image.content_type,
        "Content-Length": str(selection.length),
        "Content-Disposition": content_disposition(image.filename, attachment=download),
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _HARMLESS,
    }
    if selection.status == HTTP_206_PARTIAL_CONTENT:
        end = selection.start + selection.length - 1
        headers["Content-Range"] = f"bytes {selection.start}-{end}/{file.size}"
    length = 0 if request.method == "HEAD" else selection.length
    reader = await context.service.open(image, selection.start, length)
    return ObjectResponse(reader, length, selection.status, headers)


class ObjectResponse(Response):
    """Sends `length` bytes from a reader, and closes it whatever happens to the client."""

    def __init__(
        self,
        reader: ObjectReader,
        length: int,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=status_code, headers=headers)
        self._reader = reader
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stop reading when the client has gone."""
        request = Request(scope, receive)
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            left = self._length
            while True:
                block = await self._reader.read()
                left -= len(block)
                await send({"type": "http.response.body", "body": block, "more_body": left > 0})
                if left <= 0 or await request.is_disconnected():
                    break
        finally:
            await self._reader.close()


@lru_cache(1024)
def content_disposition(filename: str, *, attachment: bool) -> str:
    """Write the header of RFC 6266, with an ASCII stand-in where the name needs more (RFC 8187)."""
    kind = "attachment" if attachment else "inline"
    plain = "".join(
        character if character.isascii() and character not in '"\\%' else "_"
        for character in filename
    )
    header = f'{kind}; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='')}"
