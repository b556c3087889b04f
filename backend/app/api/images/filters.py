"""The filters of the list, as parameters of a query."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Depends, Query
from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.domain.search import MAX_QUERY_TERMS, Filters, query_terms
from app.imaging.formats import ImageType
from app.schemas.image import EXAMPLE_CHECKSUM

NAMES: Final = ("q", "type", "checksum", "from", "to")
"""The parameters."""
MAX_QUERY: Final = 255
"""Characters of `q`: a file name fits."""

_CHECKSUM: Final = re.compile("sha256:([0-9a-fA-F]{64})")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(
    rf"{_DATE.pattern}[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_DIGEST: Final = {
    "type": "string",
    "pattern": f"^{_CHECKSUM.pattern}$",
    "minLength": len("sha256:") + 64,
    "maxLength": len("sha256:") + 64,
}
_TEXT: Final = {"type": "string", "maxLength": MAX_QUERY, "format": "search"}
_MOMENT: Final = {"anyOf": [{"type": "string", "format": name} for name in ("date", "date-time")]}


def _with_terms(query: str) -> str:
    if not query_terms(query):
        raise PydanticCustomError("no_terms", "Search for at least one letter, digit or emoji.")
    return query


def _digest(value: str) -> bytes:
    """Return the bytes of a checksum as answers have it."""
    if found := _CHECKSUM.fullmatch(value):
        return bytes.fromhex(found[1])
    raise PydanticCustomError("no_checksum", "Send sha256: and 64 hexadecimal digits.")


def _moment(*, end_of_day: bool) -> Callable[[str], datetime]:
    """Return a parser of times and dates (RFC 3339); a date is its midnight, or the next one."""

    def parse(value: str) -> datetime:
        try:
            if _DATE.fullmatch(value):
                midnight = datetime.fromisoformat(value).replace(tzinfo=UTC)
                return midnight + timedelta(days=end_of_day)
            if _TIME.fullmatch(value):
                moment = datetime.fromisoformat(value.upper())
                return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        except OverflowError:
            return _LATEST if value.startswith("9999") else _EARLIEST
        except ValueError:
            pass  # no day of the calendar
        sentence = "Send a date such as 2026-11-01, or a time such as 2026-11-01T08:00:00Z."
        raise PydanticCustomError("no_time", sentence)

    return parse


_Search = Annotated[
    str, Field(max_length=MAX_QUERY), AfterValidator(_with_terms), WithJsonSchema(_TEXT)
]
_Checksum = Annotated[bytes, PlainValidator(_digest), WithJsonSchema(_DIGEST)]
_Begin = Annotated[datetime, PlainValidator(_moment(end_of_day=False)), WithJsonSchema(_MOMENT)]
_End = Annotated[datetime, PlainValidator(_moment(end_of_day=True)), WithJsonSchema(_MOMENT)]


async def read_filters(
    q: Annotated[
        _Search | None,
        Query(
            description="Words or their beginnings, in any order, with or without accents and "
            "capitals. An image is found if each of them is in its file name, its camera, lens or "
            "software, or is the year, month or day it was taken; in scripts without spaces, any "
            f"part of a word. Only the first {MAX_QUERY_TERMS} words count",
            examples=["köln 2026"],
        ),
    ] = None,
    content_type: Annotated[
        ImageType | None, Query(alias="type", description="Only images of this media type")
    ] = None,
    checksum: Annotated[
        _Checksum | None,
        Query(
            description="Only images whose stored bytes have this SHA-256, as `checksum` of an "
            "image: ask before an upload whether it is needed",
            examples=[EXAMPLE_CHECKSUM],
        ),
    ] = None,
    since: Annotated[
        _Begin | None,
        Query(
            alias="from",
            description="Only images uploaded then or later: a date-time, without an offset in "
            "UTC, or a date, whose midnight UTC is meant",
        ),
    ] = None,
    before: Annotated[
        _End | None,
        Query(
            alias="to",
            description="Only images uploaded before this date-time, or until the end of this date",
        ),
    ] = None,
) -> Filters:
    """Return the filters of a request."""
    return Filters(query_terms(q or ""), content_type, since, before, checksum)


FiltersDep = Annotated[Filters, Depends(read_filters)]
