"""Every kind of problem, and which exception is of which kind (RFC 9457, ADR 0007).

Those that only HTTP knows are here, by status; those of the domain in `domain_kinds`.
"""

from operator import attrgetter
from typing import Final

from fastapi.exceptions import RequestValidationError

from app.api.conditional import PreconditionFailed
from app.api.forms.rejections import (
    FORM_MEDIA_TYPE,
    InvalidField,
    MalformedMultipart,
    MissingField,
    UnsupportedBody,
)
from app.api.images.cursor import InvalidCursor
from app.api.json_body import UnsupportedMediaType
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems.domain_kinds import DOMAIN_KINDS
from app.api.problems.problem import Problem
from app.api.ranges import RangeNotSatisfiable
from app.domain import errors

TRAILING_SLASH: Final = Problem(
    "trailing-slash",
    307,
    "No URL of the service ends in a slash, except that of its page. Location has the right one; "
    "clients that follow it repeat the request as it was.",
    "This URL has a trailing slash; the right one is /api/v1/images.",
)
MALFORMED_REQUEST: Final = Problem(
    "malformed-request",
    400,
    "What arrived is not an HTTP/1.1 request that every implementation reads in the same way: "
    "check Host, Content-Length and Transfer-Encoding. The service's log has the reason.",
    "This is not a request of HTTP/1.1, or one that could be understood in two ways.",
)
MALFORMED_FORM: Final = Problem(
    "malformed-form",
    400,
    "The body is not a complete multipart/form-data form, or it has more files than the call "
    "takes. Nothing of it was stored.",
    MalformedMultipart("The form ends before its final boundary."),
)
NO_FILE_STORED: Final = Problem(
    "no-file-stored",
    400,
    "None of the batch's files could be stored; `failed` has the reason for each.",
    "None of the files could be stored; 'failed' has the reason for each.",
    {
        "uploaded": [],
        "existing": [],
        "failed": [
            {"filename": "notes.txt", "status": 400, "detail": str(errors.InvalidFileType())}
        ],
    },
)
CROSS_SITE_REQUEST: Final = Problem(
    "cross-site-request",
    403,
    "A browser sent this for a page of another site, which may change nothing where something can "
    "be changed without an API key (ACCESS). If it is the service's own page behind a proxy, set "
    "PUBLIC_URL to the address that the browser shows. Programs other than browsers are not "
    "affected.",
    "A page of another site may change nothing here; if this is the service's own page, set "
    "PUBLIC_URL to the address that the browser shows.",
    exact_title="Cross-site request",
)
NOT_FOUND: Final = Problem(
    "not-found",
    404,
    "The service has no such URL; its documentation lists those that it has.",
    "No such URL; see /docs.",
)
METHOD_NOT_ALLOWED: Final = Problem(
    "method-not-allowed",
    405,
    "The URL exists, but does not take this method; the Allow header lists those that it takes.",
    "This URL does not take DELETE; it takes GET, HEAD.",
)
REQUEST_TOO_SLOW: Final = Problem(
    "request-too-slow",
    408,
    "The request stalled, or came too slowly. Nothing of it was stored; send it again.",
    RequestTooSlow(),
)
PRECONDITION_FAILED: Final = Problem(
    "precondition-failed",
    412,
    "If-Match or If-Unmodified-Since names another file than the one stored.",
    PreconditionFailed(),
)
BODY_TOO_LARGE: Final = Problem(
    "body-too-large",
    413,
    "The request has more bytes than the call can use.",
    BodyTooLarge(52_494_336, 73_400_320),
    exact_title="Request body too large",
)
UNSUPPORTED_BODY: Final = Problem(
    "unsupported-body",
    415,
    f"The body must be a form, {FORM_MEDIA_TYPE}, without compression. Send the file as a part of "
    "it, neither by itself nor as JSON.",
    UnsupportedBody("file"),
)
UNSUPPORTED_MEDIA_TYPE: Final = Problem(
    "unsupported-media-type",
    415,
    "The body must be JSON, without compression, and its Content-Type must say so.",
    UnsupportedMediaType(),
)
RANGE_NOT_SATISFIABLE: Final = Problem(
    "range-not-satisfiable",
    416,
    "The Range header asks for bytes beyond the end; Content-Range has the file's size.",
    RangeNotSatisfiable(482_113),
)
UNKNOWN_HOST: Final = Problem(
    "unknown-host",
    421,
    "The request is for a name that anyone may have made resolve to this machine, so it may come "
    "from a page that did so (DNS rebinding). Unless ACCESS is keys, a service that listens on "
    "loopback is known as localhost, by IP addresses, and by the host of PUBLIC_URL (then also by "
    "a name without a dot, as proxies use for it); behind TRUSTED_PROXIES by any name, unless "
    "FRONT=nginx says that these pass on the name they were asked by.",
    "The service is not known by the name in Host; set PUBLIC_URL to the address that people use, "
    "or TRUSTED_PROXIES to that of the proxy in front.",
)
INVALID_REQUEST: Final = Problem(
    "invalid-request",
    422,
    "A parameter is out of range, the form has no file, or a field of it is wrong or in the wrong "
    "place; or the body is not the JSON that the call takes. `errors` names the bad inputs, twenty "
    "at most.",
    RequestValidationError(
        [{"loc": ("query", "limit"), "msg": "Input should be less than or equal to 100"}]
    ),
)
HEAD_TOO_LARGE: Final = Problem(
    "head-too-large",
    431,
    "The URL and the header fields together are larger than 32 KiB. Remove cookies and other "
    "fields that the service does not ask for.",
    "The URL and the header fields of the request are too large.",
    exact_title="Request head too large",
)
INTERNAL_ERROR: Final = Problem(
    "internal-error",
    500,
    "The service met an unexpected error. Its log has the details under the X-Request-ID.",
    "The service met an unexpected error; the log has it under this X-Request-ID.",
)
NO_ANSWER: Final = Problem(
    "no-answer",
    502,
    "nginx in front of the service had no answer from it: it is not running, cannot be reached, or "
    "took too long. What the request was to change may have been changed. Try again shortly.",
    "The service does not answer; try again shortly.",
)
TOO_MANY_CONNECTIONS: Final = Problem(
    "too-many-connections",
    503,
    "The service is overloaded: it has as many clients as it may serve at once. Try again after "
    "the seconds in Retry-After.",
    "The service serves as many clients as it may at once; try again shortly.",
)
NOT_READY: Final = Problem(
    "not-ready",
    503,
    "The service runs, but `down` names what it cannot use. It recovers by itself.",
    "Not available at the moment: database.",
    {"down": ["database"]},
)

KINDS: Final = sorted(
    (*DOMAIN_KINDS, *(kind for kind in list(vars().values()) if isinstance(kind, Problem))),
    key=attrgetter("status"),
)
PROBLEMS: Final[dict[type[Exception], Problem]] = {
    **{type(kind.example): kind for kind in KINDS if isinstance(kind.example, Exception)},
    InvalidCursor: INVALID_REQUEST,
    MissingField: INVALID_REQUEST,
    InvalidField: INVALID_REQUEST,
    errors.InvalidFilename: INVALID_REQUEST,
    errors.ImageHostError: INTERNAL_ERROR,
}
"""By the class of the exception."""


def problem_of(error: type[BaseException] | BaseException) -> Problem:
    """Return the kind of an error or of an error class: its own, or that of the nearest base.

    An error that is not in the table is an internal error.
    """
    bases = (error if isinstance(error, type) else type(error)).__mro__
    return next((PROBLEMS[base] for base in bases if base in PROBLEMS), INTERNAL_ERROR)
