"""What goes wrong with a store, in one sentence for the operator: call, place, code, what to do."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from app.storage.s3.answers import parse

MISSING: Final = "NoSuchKey"
"""The only code that says that an object is missing; 404 may have other reasons."""

CHANGED: Final = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})
"""The codes of bytes that are not those of their checksum."""

_FULL: Final = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"}
)
_INSUFFICIENT_STORAGE: Final = 507  # RFC 4918, section 11.5
_TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})
_TEMPORARY_CODES: Final = CHANGED | frozenset(
    {
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
    }
)
EXPIRED: Final = frozenset({"ExpiredToken", "TokenRefreshRequired"})
"""The codes of temporary credentials whose time is over."""

_REGION: Final = "STORAGE_URL needs the region of the bucket"
_ADVICE: Final = {
    "AccessDenied": "the key may not do that: allow it to get, put, delete and list objects, and "
    "to list and abort uploads (without the right to list, missing objects are denied, too)",
    "AuthorizationHeaderMalformed": _REGION,
    **dict.fromkeys(CHANGED, "the bytes were changed on their way there"),
    "ExpiredToken": "the temporary credentials are no longer valid",
    "InvalidAccessKeyId": "the store does not know AWS_ACCESS_KEY_ID",
    "InvalidBucketName": "STORAGE_URL names a bucket that the store does not allow",
    "InvalidToken": "AWS_SESSION_TOKEN does not belong to this key",
    "NoSuchBucket": "create the bucket, or correct STORAGE_URL",
    "PermanentRedirect": _REGION,
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is not the secret of AWS_ACCESS_KEY_ID, or a "
    "proxy changes requests on their way",
    "SlowDown": "the store wants fewer requests",
    "TemporaryRedirect": _REGION,
}
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_REGION_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,63}")


class StoreFailure(Exception):
    """A store that did not do what it was asked.

    Args:
        sentence: What happened; it holds no secret.
        code: The store's own word for it, if it answered at all.
        status: What the store answered, of HTTP; 0 = nothing.
        is_temporary: Whether it is worth asking again.
        retry_after: Seconds that the store wants to be left alone; 0 = it says nothing.
    """

    def __init__(
        self,
        sentence: str,
        *,
        code: str = "",
        status: int = 0,
        is_temporary: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
        self.is_temporary = is_temporary
        self.retry_after = retry_after

    @property
    def is_full(self) -> bool:
        """Whether the store has no room left."""
        return self.code in _FULL or self.status == _INSUFFICIENT_STORAGE


def refusal(call: str, status: int, headers: Mapping[str, str], body: bytes) -> StoreFailure:
    """Return the failure that an answer stands for.

    Args:
        call: Method and place, as the sentence begins.
        status: Of HTTP.
        headers: The answer's.
        body: The answer's, or as much as was read; it is not trusted.
    """
    code, region = _read(body)
    advice = _ADVICE.get(code, "")
    if code == "RequestTimeTooSkewed":
        advice = _skew(headers)
    region = headers.get("x-amz-bucket-region", region)
    if advice == _REGION and _REGION_NAME.fullmatch(region):
        advice = f"{_REGION}: region={region}"
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        advice = "the store is full, or the quota of the bucket or its owner is"
    elif not code:
        advice = "that is no answer of S3: a proxy or another program answers there"
    words = f"{call}: {code or 'no code'} ({status})"
    return StoreFailure(
        f"{words}; {advice}" if advice else words,
        code=code,
        status=status,
        is_temporary=status in _TEMPORARY or code in _TEMPORARY_CODES,
        retry_after=_retry_after(headers),
    )


def _read(body: bytes) -> tuple[str, str]:
    """Return code and region of an error in XML; empty where it has none."""
    with suppress(ValueError):
        root = parse(body)
        if root.tag == "Error":
            code = root.findtext("Code") or ""
            return code if _CODE.fullmatch(code) else "", root.findtext("Region") or ""
    return "", ""


def _skew(headers: Mapping[str, str]) -> str:
    with suppress(ValueError, TypeError):
        there = parsedate_to_datetime(headers.get("Date", ""))
        seconds = round((datetime.now(UTC) - there).total_seconds())
        side = "ahead of" if seconds > 0 else "behind"
        return f"the clock of this machine is {abs(seconds)} s {side} the store's: synchronise both"
    return "the clocks of this machine and of the store differ: synchronise both"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of Retry-After (RFC 9110, section 10.2.3); dates are not understood."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0
