"""Conditional requests for a file that never changes: `If-…` headers (RFC 9110, section 13).

Pure functions of the request and of what is known of the file: no byte of it is read here.
"""

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.datastructures import Headers

from app.api.ranges import parse_range

_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')
_CONDITIONS: Final = {
    b"if-match",
    b"if-none-match",
    b"if-modified-since",
    b"if-unmodified-since",
    b"range",
}


class PreconditionFailed(Exception):
    """If-Match or If-Unmodified-Since does not hold."""

    def __init__(self) -> None:
        super().__init__("The file is not the one that the request's condition names.")


class FileState(NamedTuple):
    """What a condition is compared with."""

    etag: str
    """Strong, with its quotes."""
    modified: datetime
    """UTC, in whole seconds as in HTTP dates."""
    size: int
    """Bytes."""

    @property
    def last_modified(self) -> str:
        """The Last-Modified header."""
        return _http_date(self.modified)


class Selection(NamedTuple):
    """What to answer: a status (200, 206 or 304) and the span of bytes that it carries."""

    status: int
    start: int = 0
    length: int = 0


def select(method: str, headers: Headers, file: FileState) -> Selection:
    """Evaluate the preconditions in the order of RFC 9110 section 13.2.2, then the range.

    Raises:
        PreconditionFailed: If the request must not be carried out.
        RangeNotSatisfiable: If the range lies outside the file.
    """
    whole = Selection(200, 0, file.size)
    if not is_conditional(headers):
        return whole
    if not _may_proceed(headers, file):
        raise PreconditionFailed
    if _is_known_to_client(headers, file):
        return Selection(304)
    # Section 14.2: ranges are defined for GET alone.
    if method == "GET" and "range" in headers and _range_applies(headers, file):
        found = parse_range(headers["range"], file.size)
        return Selection(206, *found) if found else whole
    return whole


def is_conditional(headers: Headers) -> bool:
    """Return whether a request asks for a range, or under a condition."""
    return not _CONDITIONS.isdisjoint([name for name, _ in headers.raw])


def _may_proceed(headers: Headers, file: FileState) -> bool:
    """Sections 13.1.1 and 13.1.4: strong comparison; the date only where there is no tag."""
    if "if-match" in headers:
        tags = _entity_tags(headers, "if-match")
        return tags is None or file.etag in tags
    date = _date(headers.get("if-unmodified-since"))
    return date is None or file.modified <= date


def _is_known_to_client(headers: Headers, file: FileState) -> bool:
    """Sections 13.1.2 and 13.1.3: weak comparison; the date only where there is no tag."""
    if "if-none-match" in headers:
        return is_current(headers, file.etag)
    date = _date(headers.get("if-modified-since"))
    return date is not None and file.modified <= date


def is_current(headers: Headers, etag: str) -> bool:
    """Return whether If-None-Match names a tag (section 13.1.2: weak comparison)."""
    tags = _entity_tags(headers, "if-none-match")
    return tags is None or etag in {tag.removeprefix("W/") for tag in tags}


def _range_applies(headers: Headers, file: FileState) -> bool:
    """Section 13.1.5: a tag compared strongly, or exactly the date that was sent."""
    validator = headers.get("if-range", file.etag).strip()
    return validator == file.etag or _date(validator) == file.modified


def _entity_tags(headers: Headers, name: str) -> list[str] | None:
    """Read a list of entity tags; None stands for `*`, any."""
    value = ",".join(headers.getlist(name))
    return None if value.strip() == "*" else _ENTITY_TAG.findall(value)


@lru_cache(1024)
def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


def _date(value: str | None) -> datetime | None:
    """Read an HTTP date (section 5.6.7); None if there is none that can be read."""
    if not value:
        return None
    try:
        date = parsedate_to_datetime(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
