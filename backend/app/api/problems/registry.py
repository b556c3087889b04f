"""Which exception is which kind of problem: the one place that knows both."""

from typing import Final

from fastapi.exceptions import RequestValidationError

from app.api.conditional import PreconditionFailed
from app.api.forms.rejections import MalformedMultipart, MissingField, UnsupportedBody
from app.api.images.cursor import InvalidCursor
from app.api.middleware.authentication import InvalidKey
from app.api.middleware.request_body import BodyTooLarge, RequestTooSlow
from app.api.problems import catalogue as kinds
from app.api.problems.problem import Problem
from app.api.ranges import RangeNotSatisfiable
from app.domain.errors import (
    DatabaseFull,
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    ImageDamaged,
    ImageNotFound,
    InvalidFileType,
    ObjectNotFound,
    QuotaExceeded,
    StorageFull,
    StorageUnavailable,
    TooManyFiles,
    UploadFailed,
)

PROBLEMS: Final[dict[type[Exception], Problem]] = {
    InvalidFileType: kinds.INVALID_FILE_TYPE,
    EmptyFile: kinds.EMPTY_FILE,
    TooManyFiles: kinds.TOO_MANY_FILES,
    MalformedMultipart: kinds.MALFORMED_FORM,
    InvalidKey: kinds.INVALID_KEY,
    ImageNotFound: kinds.IMAGE_NOT_FOUND,
    RequestTooSlow: kinds.REQUEST_TOO_SLOW,
    PreconditionFailed: kinds.PRECONDITION_FAILED,
    FileTooLarge: kinds.FILE_TOO_LARGE,
    BodyTooLarge: kinds.BODY_TOO_LARGE,
    UnsupportedBody: kinds.UNSUPPORTED_BODY,
    RangeNotSatisfiable: kinds.RANGE_NOT_SATISFIABLE,
    InvalidCursor: kinds.INVALID_REQUEST,
    MissingField: kinds.INVALID_REQUEST,
    RequestValidationError: kinds.INVALID_REQUEST,
    QuotaExceeded: kinds.QUOTA_EXCEEDED,
    ImageDamaged: kinds.IMAGE_DAMAGED,
    DatabaseUnavailable: kinds.DATABASE_UNAVAILABLE,
    DatabaseFull: kinds.DATABASE_FULL,
    StorageUnavailable: kinds.STORAGE_UNAVAILABLE,
    StorageFull: kinds.STORAGE_FULL,
    ObjectNotFound: kinds.INTERNAL_ERROR,
    UploadFailed: kinds.INTERNAL_ERROR,
}


def problem_of(error: type[BaseException] | BaseException) -> Problem:
    """Return the kind of an error or of an error class: its own, or that of the nearest base.

    An error that is not in the table is an internal error.
    """
    error_class = error if isinstance(error, type) else type(error)
    bases = error_class.__mro__
    return next((PROBLEMS[base] for base in bases if base in PROBLEMS), kinds.INTERNAL_ERROR)
