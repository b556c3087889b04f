"""Every kind of problem that the service answers with, by status (RFC 9457, ADR 0007)."""

from typing import Any, Final

from app.api.conditional import PreconditionFailed
from app.api.forms.rejections import FORM_MEDIA_TYPE, UnsupportedBody
from app.api.middleware.authentication import InvalidKey
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.problem import Problem
from app.api.ranges import RangeNotSatisfiable
from app.domain.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    InvalidFileType,
    LimitExceeded,
    QuotaExceeded,
    StorageFull,
    StorageUnavailable,
    TooManyFiles,
)
from app.schemas.image import EXAMPLE_ID


def limit_members(error: LimitExceeded | BodyTooLarge) -> dict[str, Any]:
    """Return the members that name a limit, its value and what exceeded it."""
    return {"limit": error.limit, "allowed": error.allowed, "actual": error.actual}


_TOO_MANY_FILES: Final = TooManyFiles(20, 21)
_FILE_TOO_LARGE: Final = FileTooLarge(52_428_800, 52_490_240)
_BODY_TOO_LARGE: Final = BodyTooLarge(52_494_336, 73_400_320)
_QUOTA_EXCEEDED: Final = QuotaExceeded(100, 100, 1260)

TRAILING_SLASH: Final = Problem(
    "trailing-slash",
    307,
    "Trailing slash",
    "No URL of the service ends in a slash, except that of its page. Location has the right one; "
    "clients that follow it repeat the request as it was.",
    "This URL has a trailing slash; the right one is /api/v1/images.",
)
MALFORMED_REQUEST: Final = Problem(
    "malformed-request",
    400,
    "Malformed request",
    "What arrived is not an HTTP/1.1 request that every implementation reads in the same way: "
    "check Host, Content-Length and Transfer-Encoding. The service's log has the reason.",
    "This is not a request of HTTP/1.1, or one that could be understood in two ways.",
)
MALFORMED_FORM: Final = Problem(
    "malformed-form",
    400,
    "Malformed form",
    "The body is not a complete multipart/form-data form, or it has more files than the call "
    "takes. Nothing of it was stored.",
    "The form ends before its final boundary.",
)
INVALID_FILE_TYPE: Final = Problem(
    "invalid-file-type",
    400,
    "Invalid file type",
    "The first bytes of the file are not those of a JPEG or PNG image. Convert it; renaming it "
    "does not help, because names and declared types are ignored.",
    str(InvalidFileType()),
)
EMPTY_FILE: Final = Problem(
    "empty-file", 400, "Empty file", "The file has no bytes.", str(EmptyFile())
)
TOO_MANY_FILES: Final = Problem(
    "too-many-files",
    400,
    "Too many files",
    "Send the files in several batches. Nothing of this one was stored.",
    str(_TOO_MANY_FILES),
    limit_members(_TOO_MANY_FILES),
)
NO_FILE_STORED: Final = Problem(
    "no-file-stored",
    400,
    "No file stored",
    "None of the batch's files could be stored; `failed` has the reason for each.",
    "None of the files could be stored; 'failed' has the reason for each.",
    {
        "uploaded": [],
        "failed": [{"filename": "notes.txt", "status": 400, "detail": str(InvalidFileType())}],
    },
)
INVALID_KEY: Final = Problem(
    "invalid-key",
    401,
    "Invalid API key",
    "Send the key as `Authorization: Bearer <key>`.",
    str(InvalidKey()),
)
CROSS_SITE_REQUEST: Final = Problem(
    "cross-site-request",
    403,
    "Cross-site request",
    "A browser sent this for a page of another site, which may not upload or delete where no "
    "API_KEY protects the service. If it is the service's own page behind a proxy, set PUBLIC_URL "
    "to the address that the browser shows. Programs other than browsers are not affected.",
    "A page of another site may not upload or delete here; if this is the service's own page, set "
    "PUBLIC_URL to the address that the browser shows.",
)
NOT_FOUND: Final = Problem(
    "not-found",
    404,
    "Not found",
    "The service has no such URL; its documentation lists those that it has.",
    "No such URL; see /docs.",
)
IMAGE_NOT_FOUND: Final = Problem(
    "image-not-found",
    404,
    "Image not found",
    "No image has this id. It may have been deleted.",
    f"No image has the id {EXAMPLE_ID}.",
)
METHOD_NOT_ALLOWED: Final = Problem(
    "method-not-allowed",
    405,
    "Method not allowed",
    "The URL exists, but does not take this method; the Allow header lists those that it takes.",
    "This URL does not take DELETE; it takes GET, HEAD.",
)
REQUEST_TOO_SLOW: Final = Problem(
    "request-too-slow",
    408,
    "Request too slow",
    "The request stalled, or came too slowly. Nothing of it was stored; send it again.",
    str(RequestTooSlow()),
)
PRECONDITION_FAILED: Final = Problem(
    "precondition-failed",
    412,
    "Precondition failed",
    "If-Match or If-Unmodified-Since names another file than the one stored.",
    str(PreconditionFailed()),
)
FILE_TOO_LARGE: Final = Problem(
    "file-too-large",
    413,
    "File too large",
    "The file has more bytes than the service takes: more than `allowed`. `actual` is how many "
    "had been counted when reading stopped.",
    str(_FILE_TOO_LARGE),
    limit_members(_FILE_TOO_LARGE),
)
BODY_TOO_LARGE: Final = Problem(
    "body-too-large",
    413,
    "Request body too large",
    "The request has more bytes than the call can use.",
    str(_BODY_TOO_LARGE),
    limit_members(_BODY_TOO_LARGE),
)
UNSUPPORTED_BODY: Final = Problem(
    "unsupported-body",
    415,
    "Unsupported body",
    f"The body must be a form, {FORM_MEDIA_TYPE}, without compression. Send the file as a part of "
    "it, neither by itself nor as JSON.",
    str(UnsupportedBody("file")),
)
RANGE_NOT_SATISFIABLE: Final = Problem(
    "range-not-satisfiable",
    416,
    "Range not satisfiable",
    "The Range header asks for bytes beyond the end; Content-Range has the file's size.",
    str(RangeNotSatisfiable(482_113)),
)
UNKNOWN_HOST: Final = Problem(
    "unknown-host",
    421,
    "Unknown host",
    "The request is for a name that anyone may have made resolve to this machine, so it may come "
    "from a page that did so (DNS rebinding). Without an API_KEY, a service that listens on "
    "loopback is known as localhost, by IP addresses, and by the host of PUBLIC_URL (then also by "
    "a name without a dot, as proxies use for it); behind TRUSTED_PROXIES by any name.",
    "The service is not known by the name in Host; set PUBLIC_URL to the address that people use, "
    "or TRUSTED_PROXIES to that of the proxy in front.",
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
QUOTA_EXCEEDED: Final = Problem(
    "quota-exceeded",
    429,
    "Quota exceeded",
    "Your address has added as many images as it may within an hour. Retry-After has the seconds "
    "until the next one is possible; RateLimit and RateLimit-Policy say the same to programs.",
    str(_QUOTA_EXCEEDED),
    limit_members(_QUOTA_EXCEEDED),
)
HEAD_TOO_LARGE: Final = Problem(
    "head-too-large",
    431,
    "Request head too large",
    "The URL and the header fields together are larger than 32 KiB. Remove cookies and other "
    "fields that the service does not ask for.",
    "The URL and the header fields of the request are too large.",
)
INTERNAL_ERROR: Final = Problem(
    "internal-error",
    500,
    "Internal error",
    "The service met an unexpected error. Its log has the details under the X-Request-ID.",
    "The service met an unexpected error; the log has it under this X-Request-ID.",
)
IMAGE_DAMAGED: Final = Problem(
    "image-damaged",
    500,
    "Image damaged",
    "The image is listed, but its file is missing or has another length than it should.",
    f"The stored file of image {EXAMPLE_ID} is missing or damaged.",
)
TOO_MANY_CONNECTIONS: Final = Problem(
    "too-many-connections",
    503,
    "Too many connections",
    "The service is overloaded: it has as many clients as it may serve at once. Try again after "
    "the seconds in Retry-After.",
    "The service serves as many clients as it may at once; try again shortly.",
)
NOT_READY: Final = Problem(
    "not-ready",
    503,
    "Not ready",
    "The service runs, but `down` names what it cannot use. It recovers by itself.",
    "Not available at the moment: database.",
    {"down": ["database"]},
)
DATABASE_UNAVAILABLE: Final = Problem(
    "database-unavailable",
    503,
    "Database unavailable",
    "Try again after the seconds in Retry-After.",
    str(DatabaseUnavailable()),
)
STORAGE_UNAVAILABLE: Final = Problem(
    "storage-unavailable",
    503,
    "Storage unavailable",
    "Try again after the seconds in Retry-After.",
    str(StorageUnavailable()),
)
DATABASE_FULL: Final = Problem(
    "database-full",
    507,
    "Database full",
    "The operator must make room for the database before uploads can go on.",
    str(DatabaseFull()),
)
STORAGE_FULL: Final = Problem(
    "storage-full",
    507,
    "Storage full",
    "The operator must make room before uploads can go on.",
    str(StorageFull()),
)
