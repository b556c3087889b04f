"""The kinds of error, as problem+json tells them (RFC 9457, ADR 0007).

This is the one place that knows both what can go wrong and how HTTP says it. A kind is an
exception class and its `Problem`; the answers (`errors.py`), what OpenAPI says of them and the
page that `type` leads to all follow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import Any, Final, Self

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.types import Receive, Scope, Send

from app.api.conditional import PreconditionFailed, RangeNotSatisfiable
from app.api.forms.rejections import (
    FORM_MEDIA_TYPE,
    MalformedMultipart,
    MissingField,
    UnsupportedBody,
)
from app.api.images.cursor import InvalidCursor
from app.api.middleware.authentication import InvalidKey
from app.api.middleware.body_limit import BodyTooLarge, RequestTooSlow
from app.domain.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    ImageDamaged,
    ImageNotFound,
    InvalidFileType,
    LimitExceeded,
    ObjectNotFound,
    QuotaExceeded,
    StorageFull,
    StorageUnavailable,
    TooManyFiles,
    UploadFailed,
)
from app.schemas.image import EXAMPLE_ID
from app.schemas.problem import PROBLEM_MEDIA_TYPE

PROBLEMS_PATH: Final = "/problems"
RETRY_AFTER_SECONDS: Final = 5
"""When to try again while something is away, or there is too much to do."""

router = APIRouter()


_HEADERS: Final = {
    401: {"WWW-Authenticate": "Bearer"},
    415: {
        "Accept": "The media type that the call takes",
        "Accept-Post": "The same",
        "Accept-Encoding": "identity: no compression",
    },
    416: {"Content-Range": "The size of the file, as bytes */size"},
    429: {
        "Retry-After": "Seconds until the next upload is possible",
        "RateLimit-Policy": "How many uploads (q) within how many seconds (w)",
        "RateLimit": "How many are left (r), and when there will be more (t, seconds)",
    },
    503: {"Retry-After": "Seconds after which to try again"},
}
"""What an answer says besides its body, by status."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error."""

    slug: str
    status: int
    title: str
    advice: str
    """What a person who meets it can do, for the page that `type` leads to."""
    example: str
    """A `detail` as it may read."""
    example_members: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Extension members as they may be."""

    @property
    def type(self) -> str:
        """The address of its description: stable, and rooted in the service (ADR 0007, 0022)."""
        return f"{PROBLEMS_PATH}#{self.slug}"

    def body(self, detail: str | None = None, **members: object) -> dict[str, Any]:
        """The problem details object, with extension members."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": detail or self.example,
            **members,
        }

    def response(
        self,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> "ProblemResponse":
        """Answer with this problem; nothing may keep the answer for later."""
        always = {"Cache-Control": "no-store"}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            always["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return ProblemResponse(
            self.body(detail, **members), self.status, {**always, **(headers or {})}
        )


class ProblemResponse(JSONResponse):
    """A problem as an answer; its `type` begins with the path of PUBLIC_URL, where that has one."""

    media_type = PROBLEM_MEDIA_TYPE

    def __init__(self, body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(body, status, headers)
        self._body = body

    def below(self, path: str) -> Self:
        """Return this answer of a service that clients reach below a path."""
        if path:
            self.body = self.render({**self._body, "type": path + self._body["type"]})
            self.headers["content-length"] = str(len(self.body))
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        if state := scope.get("state"):
            self.below(state["settings"].public_path)
        await super().__call__(scope, receive, send)


INTERNAL_ERROR: Final = Problem(
    "internal-error",
    500,
    "Internal error",
    "The service failed in a way that it does not know. The log tells more under the X-Request-ID.",
    "The service met an unexpected error; the log has it under this X-Request-ID.",
)
NOT_FOUND: Final = Problem(
    "not-found",
    404,
    "Not found",
    "The address is none of the service's. Its documentation lists all of them.",
    "There is nothing at this address; /docs lists what there is.",
)
TRAILING_SLASH: Final = Problem(
    "trailing-slash",
    307,
    "Trailing slash",
    "No address of the service ends in a slash, but for the page's own. Location has the right "
    "one; clients that follow it send the request again as it was.",
    "This address has a slash too many at its end; the right one is /api/v1/images.",
)
METHOD_NOT_ALLOWED: Final = Problem(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The address exists, but not for this method; the Allow header lists those that it has.",
    "This address does not take DELETE; it takes GET, HEAD.",
)
MALFORMED_REQUEST: Final = Problem(
    "malformed-request",
    400,
    "Malformed request",
    "What arrived is not a request of HTTP/1.1 that everyone understands in the same way: check "
    "Host, Content-Length and Transfer-Encoding. The service's log has the reason.",
    "This is not a request of HTTP/1.1, or one that could be understood in two ways.",
)
CROSS_SITE_REQUEST: Final = Problem(
    "cross-site-request",
    403,
    "Cross-site request",
    "A browser sent this for a page of another site, which may not upload or delete where no "
    "API_KEY protects the service. If it is the service's own page behind a proxy, set PUBLIC_URL "
    "to the address that the browser shows. Programs other than browsers are not concerned.",
    "A page of another site may not upload or delete here; if this is the service's own page, set "
    "PUBLIC_URL to the address that the browser shows.",
)
UNKNOWN_HOST: Final = Problem(
    "unknown-host",
    421,
    "Unknown host",
    "The request is for a name that may lead anywhere, so it may come from a page that had its "
    "name lead to this machine (DNS rebinding). Without an API_KEY, a service that listens on "
    "loopback is known as localhost, by IP addresses, and by the host of PUBLIC_URL (then also by "
    "a name without a dot, as proxies have for it); behind TRUSTED_PROXIES by any name.",
    "The service is not known by the name in Host; set PUBLIC_URL to the address that people use, "
    "or TRUSTED_PROXIES to that of the proxy in front.",
)
HEAD_TOO_LARGE: Final = Problem(
    "head-too-large",
    431,
    "Request head too large",
    "The address and the header fields together are larger than 32 KiB. Remove cookies and other "
    "fields that the service does not ask for.",
    "The address and the header fields of the request are too large.",
)
TOO_MANY_CONNECTIONS: Final = Problem(
    "too-many-connections",
    503,
    "Too many connections",
    "The service has as many clients as it may serve at once. Try again after the seconds that "
    "Retry-After tells.",
    "The service serves as many clients as it may at once; try again shortly.",
)
NO_FILE_STORED: Final = Problem(
    "no-file-stored",
    400,
    "No file stored",
    "None of the batch's files could be stored; `failed` tells why for each.",
    "None of the files could be stored; 'failed' tells why for each.",
    {
        "uploaded": [],
        "failed": [{"filename": "notes.txt", "status": 400, "detail": str(InvalidFileType())}],
    },
)
NOT_READY: Final = Problem(
    "not-ready",
    503,
    "Not ready",
    "The service runs, but `down` names what it cannot use. It recovers by itself.",
    "Not available at the moment: database.",
    {"down": ["database"]},
)
INVALID_REQUEST: Final = Problem(
    "invalid-request",
    422,
    "Invalid request",
    "A parameter is out of range, or the form has no file. `errors` names each bad input.",
    "limit: Input should be less than or equal to 100",
    {
        "errors": [
            {
                "in": "query",
                "field": "limit",
                "detail": "Input should be less than or equal to 100",
            }
        ]
    },
)


def limit_members(error: LimitExceeded | BodyTooLarge) -> dict[str, Any]:
    """Name the limit, what it allows and what there was."""
    return {"limit": error.limit, "allowed": error.allowed, "actual": error.actual}


_TOO_MANY: Final = TooManyFiles(20, 21)
_FILE_TOO_LARGE: Final = FileTooLarge(52_428_800, 52_490_240)
_BODY_TOO_LARGE: Final = BodyTooLarge(52_494_336, 73_400_320)
_QUOTA_EXCEEDED: Final = QuotaExceeded(100, 100, 1260)

PROBLEMS: Final[dict[type[Exception], Problem]] = {
    InvalidFileType: Problem(
        "invalid-file-type",
        400,
        "Invalid file type",
        "The first bytes of the file are not those of a JPEG or PNG image. Convert it; renaming "
        "it does not help, because names and declared types are not looked at.",
        str(InvalidFileType()),
    ),
    EmptyFile: Problem("empty-file", 400, "Empty file", "The file has no bytes.", str(EmptyFile())),
    TooManyFiles: Problem(
        "too-many-files",
        400,
        "Too many files",
        "Send the files in several batches. Nothing of this one was stored.",
        str(_TOO_MANY),
        limit_members(_TOO_MANY),
    ),
    MalformedMultipart: Problem(
        "malformed-form",
        400,
        "Malformed form",
        "The body is not a complete multipart/form-data form, or it has more files than the call "
        "takes. Nothing of it was stored.",
        "The form is broken off before its final boundary.",
    ),
    InvalidKey: Problem(
        "invalid-key",
        401,
        "Invalid API key",
        "Send the key as `Authorization: Bearer <key>`.",
        str(InvalidKey()),
    ),
    ImageNotFound: Problem(
        "image-not-found",
        404,
        "Image not found",
        "No image has this id. It may have been deleted.",
        f"No image has the id {EXAMPLE_ID}.",
    ),
    RequestTooSlow: Problem(
        "request-too-slow",
        408,
        "Request too slow",
        "The request came to a halt, or came too slowly. Nothing of it was stored; send it again.",
        str(RequestTooSlow()),
    ),
    PreconditionFailed: Problem(
        "precondition-failed",
        412,
        "Precondition failed",
        "If-Match or If-Unmodified-Since names another file than the one stored.",
        str(PreconditionFailed()),
    ),
    FileTooLarge: Problem(
        "file-too-large",
        413,
        "File too large",
        "The file has more bytes than the service takes: more than `allowed`. `actual` is how many "
        "had been counted when reading stopped.",
        str(_FILE_TOO_LARGE),
        limit_members(_FILE_TOO_LARGE),
    ),
    BodyTooLarge: Problem(
        "body-too-large",
        413,
        "Request body too large",
        "The request has more bytes than the call can use.",
        str(_BODY_TOO_LARGE),
        limit_members(_BODY_TOO_LARGE),
    ),
    UnsupportedBody: Problem(
        "unsupported-body",
        415,
        "Unsupported body",
        f"The body must be a form, {FORM_MEDIA_TYPE}, without compression. Send the file as a "
        "part of it, neither by itself nor as JSON.",
        str(UnsupportedBody("file")),
    ),
    RangeNotSatisfiable: Problem(
        "range-not-satisfiable",
        416,
        "Range not satisfiable",
        "The Range header asks for bytes beyond the end; Content-Range tells the file's size.",
        str(RangeNotSatisfiable(482_113)),
    ),
    InvalidCursor: INVALID_REQUEST,
    MissingField: INVALID_REQUEST,
    RequestValidationError: INVALID_REQUEST,
    QuotaExceeded: Problem(
        "quota-exceeded",
        429,
        "Quota exceeded",
        "Your address has added as many images as it may within an hour. Retry-After tells when "
        "the next one is possible, RateLimit and RateLimit-Policy the same for programs.",
        str(_QUOTA_EXCEEDED),
        limit_members(_QUOTA_EXCEEDED),
    ),
    ImageDamaged: Problem(
        "image-damaged",
        500,
        "Image damaged",
        "The image is listed, but its file is missing or has another length than it should.",
        f"The stored file of image {EXAMPLE_ID} is missing or damaged.",
    ),
    DatabaseUnavailable: Problem(
        "database-unavailable",
        503,
        "Database unavailable",
        "Try again after the seconds that Retry-After tells.",
        str(DatabaseUnavailable()),
    ),
    DatabaseFull: Problem(
        "database-full",
        507,
        "Database full",
        "The operator must make room for the database before uploads can go on.",
        str(DatabaseFull()),
    ),
    StorageUnavailable: Problem(
        "storage-unavailable",
        503,
        "Storage unavailable",
        "Try again after the seconds that Retry-After tells.",
        str(StorageUnavailable()),
    ),
    StorageFull: Problem(
        "storage-full",
        507,
        "Storage full",
        "The operator must make room before uploads can go on.",
        str(StorageFull()),
    ),
    ObjectNotFound: INTERNAL_ERROR,
    UploadFailed: INTERNAL_ERROR,
}


def problem_of(error: Exception) -> Problem:
    """Return the kind of an error, or of what its class is derived from.

    What is not known is an internal error.
    """
    return problem_of_class(type(error))


def problem_of_class(kind: type[BaseException]) -> Problem:
    """Return the kind of an error class, as `problem_of` does of an error."""
    return next((PROBLEMS[base] for base in kind.__mro__ if base in PROBLEMS), INTERNAL_ERROR)


def documented(*kinds: type[Exception] | Problem) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route for OpenAPI, each with an example of its body."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        problem = kind if isinstance(kind, Problem) else problem_of_class(kind)
        response = responses.setdefault(
            problem.status,
            {
                "description": HTTPStatus(problem.status).phrase,
                "headers": {
                    name: {"description": meaning, "schema": {"type": "string"}}
                    for name, meaning in _HEADERS.get(problem.status, {}).items()
                },
                "content": {
                    PROBLEM_MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/ProblemDetails"},
                        "examples": {},
                    }
                },
            },
        )
        examples = response["content"][PROBLEM_MEDIA_TYPE]["examples"]
        examples[problem.slug] = {
            "summary": problem.title,
            "value": problem.body(**problem.example_members),
        }
    return responses


@router.head(PROBLEMS_PATH, include_in_schema=False)
@router.get(PROBLEMS_PATH, include_in_schema=False)
async def describe_problems() -> HTMLResponse:
    """Serve the page that each problem's `type` leads to."""
    known = sorted(
        {
            *PROBLEMS.values(),
            TRAILING_SLASH,
            NOT_FOUND,
            METHOD_NOT_ALLOWED,
            MALFORMED_REQUEST,
            CROSS_SITE_REQUEST,
            UNKNOWN_HOST,
            HEAD_TOO_LARGE,
            TOO_MANY_CONNECTIONS,
            NO_FILE_STORED,
            NOT_READY,
        },
        key=lambda kind: (kind.status, kind.slug),
    )
    entries = "".join(
        f'<h2 id="{kind.slug}">{kind.status} {escape(kind.title)}</h2>\n'
        f"<p>{escape(kind.advice)}</p>\n"
        for kind in known
    )
    return HTMLResponse(
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Errors</title>\n'
        f"<h1>Errors of the image host</h1>\n{entries}</html>\n"
    )
