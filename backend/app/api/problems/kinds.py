"""Every kind of problem, by status, and which exception is of which kind (RFC 9457, ADR 0007)."""

from typing import Final
from uuid import UUID

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
from app.api.problems.problem import Problem
from app.api.ranges import RangeNotSatisfiable
from app.domain import errors, user_errors
from app.schemas.image import EXAMPLE_ID

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
INVALID_FILE_TYPE: Final = Problem(
    "invalid-file-type",
    400,
    "The bytes of the file are not those of a JPEG, PNG, GIF, WebP, AVIF or HEIC image. Convert "
    "it; renaming it does not help, because names and declared types are ignored.",
    errors.InvalidFileType(),
)
EMPTY_FILE: Final = Problem("empty-file", 400, "The file has no bytes.", errors.EmptyFile())
TOO_MANY_FILES: Final = Problem(
    "too-many-files",
    400,
    "Send the files in several batches. Nothing of this one was stored.",
    errors.TooManyFiles(20, 21),
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
INVALID_KEY: Final = Problem(
    "invalid-key",
    401,
    "Send a key as `Authorization: Bearer <key>`, or as `X-API-Key: <key>`. The one that was sent "
    "may be wrong, have expired, or have been revoked.",
    user_errors.InvalidKey(),
    exact_title="Invalid API key",
)
MISSING_SCOPE: Final = Problem(
    "missing-scope",
    403,
    "The key is valid, but not for this call. Create one with the scope that `detail` names.",
    user_errors.MissingScope("delete"),
)
ADMINISTRATORS_ONLY: Final = Problem(
    "administrators-only",
    403,
    "The key has the scope `admin`, by which its user manages their own keys. To manage users, the "
    "user must be an administrator.",
    user_errors.AdministratorsOnly(),
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
IMAGE_NOT_FOUND: Final = Problem(
    "image-not-found",
    404,
    "No image has this id. It may have been deleted.",
    errors.ImageNotFound(UUID(EXAMPLE_ID)),
)
USER_NOT_FOUND: Final = Problem(
    "user-not-found",
    404,
    "No user has this id. They may have been deleted, or are being deleted. Or the key is that of "
    "API_KEY, which is no user's: `user_id` must say whose keys these are.",
    user_errors.UserNotFound(UUID(EXAMPLE_ID)),
)
KEY_NOT_FOUND: Final = Problem(
    "key-not-found",
    404,
    "No API key of yours has this prefix, which is what it begins with: `ih_` and 8 characters.",
    user_errors.KeyNotFound(),
)
UNKNOWN_THUMBNAIL_SIZE: Final = Problem(
    "unknown-thumbnail-size",
    404,
    "There are thumbnails of some sizes only: `thumbnails` of an image has their URLs, and "
    "`thumbnail_sizes` of the limits the sizes.",
    errors.UnknownThumbnailSize([150, 300, 800]),
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
USER_EXISTS: Final = Problem(
    "user-exists",
    409,
    "Another user has this email; upper and lower case are the same.",
    user_errors.UserExists("ada@example.org"),
)
TOO_MANY_KEYS: Final = Problem(
    "too-many-keys",
    409,
    "The user has as many valid API keys as there may be. Revoke those that are not used.",
    user_errors.TooManyKeys(100),
)
IMAGE_IS_PUBLIC: Final = Problem(
    "image-is-public",
    409,
    "A link that expires was asked for, but anybody can fetch this image by its address. Make it "
    "private first.",
    errors.ImageIsPublic(UUID(EXAMPLE_ID)),
)
UPLOAD_UNDER_WAY: Final = Problem(
    "upload-under-way",
    409,
    "The service is still carrying out a request with the same Idempotency-Key: the first of two, "
    "or one whose client has disconnected. Send the same request again after the seconds in "
    "Retry-After; it is then answered as the first one was. Where a process of the service was "
    "killed, that takes up to 30 seconds.",
    errors.UploadUnderWay(),
)
PRECONDITION_FAILED: Final = Problem(
    "precondition-failed",
    412,
    "If-Match or If-Unmodified-Since names another file than the one stored.",
    PreconditionFailed(),
)
FILE_TOO_LARGE: Final = Problem(
    "file-too-large",
    413,
    "The file has more bytes than the service takes: more than `allowed`. `actual` is how many "
    "had been counted when reading stopped.",
    errors.FileTooLarge(52_428_800, 52_490_240),
)
STORAGE_QUOTA_EXCEEDED: Final = Problem(
    "storage-quota-exceeded",
    413,
    "Your images would be more than your quota. Of the quota that `limit` names, `allowed` is all "
    "there is, `used` what your images take, and `needed` what this one would take. Delete images, "
    "or ask the operator for more; a deleted image makes room at once.",
    errors.StorageQuotaExceeded("quota_bytes", 1_000_000_000, 999_800_000, 482_113),
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
METADATA_NOT_REMOVABLE: Final = Problem(
    "metadata-not-removable",
    422,
    "The upload was to lose its metadata, which cannot be removed from this file with certainty: "
    "it is AVIF or HEIC, or its structure cannot be followed. It was not stored. Convert it, or "
    "send it with strip_metadata=false, which keeps all that is in it, the place where it was "
    "taken included.",
    errors.MetadataNotRemovable(),
)
IDEMPOTENCY_KEY_REUSED: Final = Problem(
    "idempotency-key-reused",
    422,
    "An Idempotency-Key stands for one request: one call with the same files, names and options. "
    "Make a new key for each upload, and send it again only with the same upload.",
    errors.IdempotencyKeyReused(),
)
IMAGE_NOT_RENDERABLE: Final = Problem(
    "image-not-renderable",
    422,
    "No thumbnail can be made of this image, for the reason in `detail`. Its file can be fetched.",
    errors.ImageNotRenderable("The image has more than 100000000 pixels."),
)
QUOTA_EXCEEDED: Final = Problem(
    "quota-exceeded",
    429,
    "Your address has added as many images as it may within an hour. Retry-After has the seconds "
    "until the next one is possible; RateLimit and RateLimit-Policy say the same to programs.",
    errors.QuotaExceeded(100, 100, 1260),
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
IMAGE_DAMAGED: Final = Problem(
    "image-damaged",
    500,
    "The image is listed, but its file is missing or has another length than it should.",
    errors.ImageDamaged(UUID(EXAMPLE_ID)),
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
THUMBNAIL_NOT_READY: Final = Problem(
    "thumbnail-not-ready",
    503,
    "The thumbnail is being rendered, which takes longer than the request may wait. Try again "
    "after the seconds in Retry-After.",
    errors.ThumbnailNotReady(),
)
DATABASE_UNAVAILABLE: Final = Problem(
    "database-unavailable",
    503,
    "Try again after the seconds in Retry-After.",
    errors.DatabaseUnavailable(),
)
STORAGE_UNAVAILABLE: Final = Problem(
    "storage-unavailable",
    503,
    "Try again after the seconds in Retry-After.",
    errors.StorageUnavailable(),
)
DATABASE_FULL: Final = Problem(
    "database-full",
    507,
    "The operator must make room for the database before uploads can go on.",
    errors.DatabaseFull(),
)
STORAGE_FULL: Final = Problem(
    "storage-full",
    507,
    "The operator must make room before uploads can go on.",
    errors.StorageFull(),
)

KINDS: Final = [value for value in list(vars().values()) if isinstance(value, Problem)]
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
