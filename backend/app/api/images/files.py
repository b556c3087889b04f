"""An image's bytes, whole or a span of them, on their way to browsers and caches."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from starlette.status import (
    HTTP_200_OK,
    HTTP_204_NO_CONTENT,
    HTTP_206_PARTIAL_CONTENT,
    HTTP_304_NOT_MODIFIED,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.conditional import (
    FileState,
    PreconditionFailed,
    RangeNotSatisfiable,
    select,
)
from app.api.dependencies import Context, ContextDep
from app.api.images.paths import FILE_PATH, FILE_URL
from app.api.problems.catalogue import INTERNAL_ERROR, INVALID_REQUEST
from app.api.problems.handlers import problem_response
from app.api.problems.openapi import documented
from app.api.problems.registry import PROBLEMS
from app.domain.errors import DatabaseUnavailable, ImageDamaged, ImageNotFound, StorageUnavailable
from app.domain.filenames import with_extension
from app.domain.image import Image
from app.imaging.formats import EXTENSIONS, ImageType
from app.services.hot_files import HotFile
from app.storage.base import ObjectReader

_METHODS: Final = ("GET", "HEAD")
_UNCHANGING: Final = b"public, max-age=31536000, immutable"
_HARMLESS: Final = b"default-src 'none'; sandbox"
"""Opened by itself, the file may run and load nothing, whatever a browser takes it for."""
_EXPOSED: Final = (
    b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Repr-Digest, "
    b"Retry-After, X-Request-ID"
)
_FOR_ANY_SITE: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
"""Pages of other sites may show the file, and their scripts may read it (ADR 0022)."""
_AGE_OF_DATE: Final = timedelta(seconds=2)
"""How old the Date may be that uvicorn writes into an answer; it makes one each second."""
_BYTES: Final = {
    image_type.value: {"schema": {"type": "string", "format": "binary"}} for image_type in ImageType
}
_HEADERS: Final = {
    "Repr-Digest": {
        "description": "SHA-256 of the whole file, as sha-256=:base64: (RFC 9530), where it is "
        "known",
        "schema": {"type": "string"},
    }
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    HTTP_200_OK: {
        "description": "The file, exactly as it was uploaded",
        "headers": _HEADERS,
        "content": _BYTES,
    },
    HTTP_206_PARTIAL_CONTENT: {
        "description": "The range of it that was asked for",
        "headers": _HEADERS,
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

router = APIRouter(tags=["images"])


@router.head(
    FILE_PATH,
    name="head_image_file",
    summary="Ask about an image's file",
    response_class=Response,
    responses=_RESPONSES,
)
@router.get(FILE_PATH, summary="Get an image's file", response_class=Response, responses=_RESPONSES)
async def get_image_file(
    request: Request,
    image_id: UUID,
    context: ContextDep,
    *,
    download: Annotated[bool, Query(description="1 = save it instead of showing it")] = False,
) -> Response:
    """Send the bytes as they were uploaded. The address can be linked to and cached for ever.

    The name to save it under is the image's, with the ending of its type.
    """
    files = context.services.files
    file = await files.find(image_id)
    image = file.image
    facts = _facts(image, attachment=True) if download else _facts_in_demand(file)
    try:
        selection = select(request.method, request.headers, facts.file)
    except (PreconditionFailed, RangeNotSatisfiable):
        await files.require_present(image)
        raise
    if selection.status == HTTP_304_NOT_MODIFIED:
        await files.require_present(image)
        return FileResponse(HTTP_304_NOT_MODIFIED, [*facts.validators])
    length_field = (b"content-length", b"%d" % selection.length)
    headers = [*facts.validators, *facts.description, length_field]
    if selection.status == HTTP_206_PARTIAL_CONTENT:
        end = selection.start + selection.length - 1
        content_range = b"bytes %d-%d/%d" % (selection.start, end, image.file_size)
        headers.append((b"content-range", content_range))
    length = 0 if request.method == "HEAD" else selection.length
    reader = await files.open(image, selection.start, length)
    return FileResponse(selection.status, headers, reader, length)


def _last_modified(created_at: datetime) -> datetime:
    """Return when a file was stored; of one dated ahead, a moment just before the answer's Date.

    RFC 9110, section 8.8.2.1: a clock was wrong, and Last-Modified must not be later than Date.
    """
    now = datetime.now(UTC)
    return created_at if created_at <= now else now.replace(microsecond=0) - _AGE_OF_DATE


class _Facts(NamedTuple):
    """What every answer about a file says of it, in header fields."""

    file: FileState
    validators: tuple[tuple[bytes, bytes], ...]
    """Of a 304 too."""
    description: tuple[tuple[bytes, bytes], ...]


def _facts_in_demand(file: HotFile) -> _Facts:
    """Return the facts of a file to be shown, which are kept with what is remembered of it."""
    known: _Facts | None = file.description
    if known is None:
        known = file.description = _facts(file.image, attachment=False)
    return known


def _facts(image: Image, *, attachment: bool) -> _Facts:
    modified = _last_modified(image.created_at).replace(microsecond=0)
    file = FileState(f'"{image.id.hex}"', modified, image.file_size)
    validators = (
        (b"etag", file.etag.encode()),
        (b"last-modified", file.last_modified.encode()),
        (b"cache-control", _UNCHANGING),
    )
    # A client saves what it believes the type is, so the name agrees (RFC 6266, section 4.3).
    name = with_extension(image.filename, EXTENSIONS.get(image.content_type, ()))
    description = (
        (b"content-type", image.content_type.encode()),
        (b"content-disposition", content_disposition(name, attachment=attachment).encode()),
        (b"accept-ranges", b"bytes"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _HARMLESS),
        # RFC 9530, section 3: of the whole file, also where a part of it is sent.
        *(
            [(b"repr-digest", b"sha-256=:%b:" % b64encode(image.checksum))]
            if image.checksum
            else ()
        ),
    )
    return _Facts(file, validators, description)


class FileShortcut:
    """Middleware that takes requests for files straight to `get_image_file`.

    The layers that it leaves out (routing, dependencies, exit stacks) cost more than the service
    itself does for a file at hand (ADR 0013). A request with a query goes through all of them, to
    the same function. Every answer at a file's address, errors too, is for pages of any site.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = FILE_URL.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if not found:
            await self._app(scope, receive, send)
            return

        request = Request(scope, receive)
        response: Response
        image_id, slash = found.groups()
        if scope["method"] in _METHODS and not (scope["query_string"] or slash):
            try:
                response = await get_image_file(request, UUID(image_id), Context(request))
            except tuple(PROBLEMS) as error:
                response = problem_response(error)
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in request.headers:
            response = _preflight(request)
        else:
            await self._app(scope, receive, _to_any_site(send))
            return
        response.raw_headers += _FOR_ANY_SITE
        await response(scope, receive, send)


def _to_any_site(send: Send) -> Send:
    async def send_to_any_site(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_FOR_ANY_SITE]
        await send(message)

    return send_to_any_site


def _preflight(request: Request) -> Response:
    """Let a page of another site send what it likes with a request for a file (CORS protocol)."""
    headers = {
        "Access-Control-Allow-Methods": ", ".join(_METHODS),
        "Access-Control-Max-Age": "86400",
    }
    if wanted := request.headers.get("access-control-request-headers"):
        headers["Access-Control-Allow-Headers"] = wanted
    return Response(status_code=HTTP_204_NO_CONTENT, headers=headers)


class FileResponse(Response):
    """Sends `length` bytes from a reader, and closes it whatever happens to the client."""

    def __init__(
        self,
        status_code: int,
        headers: list[tuple[bytes, bytes]],
        reader: ObjectReader | None = None,
        length: int = 0,
    ) -> None:
        self.status_code = status_code
        self.background = None
        self.raw_headers = headers
        self._reader = reader
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer; stop reading when the client has gone."""
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
                block = await self._reader.read() if self._reader else b""
                left -= len(block)
                await send({"type": "http.response.body", "body": block, "more_body": left > 0})
                if left <= 0 or await Request(scope, receive).is_disconnected():
                    break
        finally:
            if self._reader:
                await self._reader.close()


def content_disposition(filename: str, *, attachment: bool) -> str:
    """Write the header of RFC 6266, with an ASCII stand-in where the name needs more (RFC 8187)."""
    kind = "attachment" if attachment else "inline"
    plain = "".join(
        character if character.isascii() and character not in '"\\%' else "_"
        for character in filename
    )
    header = f'{kind}; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe='')}"
