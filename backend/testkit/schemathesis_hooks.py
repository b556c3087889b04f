"""What schemathesis cannot know: what images, names, cursors, searches and forms look like."""

import json
from datetime import UTC
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from schemathesis.core.parameters import ParameterLocation

from app.api.forms.multipart import OPTIONS
from app.api.images.cursor import encode_cursor
from app.api.images.repeatable import KEY, KEY_NAME
from app.domain.filenames import sanitize_filename
from app.domain.image import Position
from app.schemas.changes import ImageChanges
from testkit import samples

JPEGS, PNGS = (
    [content for content, found in samples.of_every_kind().values() if found == content_type]
    for content_type in ("image/jpeg", "image/png")
)
Case = schemathesis.Case[Any]
FLAGS = ("strip_metadata", "is_public")
positions = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.uuids())

schemathesis.openapi.media_type("image/jpeg", st.sampled_from(JPEGS))
schemathesis.openapi.media_type("image/png", st.sampled_from(PNGS))
schemathesis.openapi.format("thumbnail-size", st.sampled_from(["150", "300", "800"]))
schemathesis.openapi.format("file-name", st.text().filter(lambda name: sanitize_filename(name, "")))
schemathesis.openapi.format("cursor", positions.map(encode_cursor))
schemathesis.openapi.format("search", st.text(max_size=9).map("{}1".format))


@schemathesis.hook
def map_case(_context: schemathesis.HookContext, case: Case) -> Case:
    """Send options before the files; in place, so that the body is not taken for another one."""
    if isinstance(case.body, dict) and any(name in case.body for name in OPTIONS):
        for name in [name for name in case.body if name not in OPTIONS]:
            case.body[name] = case.body.pop(name)
    return case


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    """Send no Idempotency-Key twice, which would be refused with another request; and 5.0 as 5."""
    if case.headers and KEY.fullmatch(str(case.headers.get(KEY_NAME, ""))):
        case.headers[KEY_NAME] = uuid4().hex
    if isinstance(case.body, dict):
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: Case) -> bool:
    """Drop what is meant to violate the document and does not.

    A flag in a form is text; and a name against its format is any text, most of which is a name. An
    Idempotency-Key that is a number is sent as its digits.
    """
    header = case.meta and case.meta.components.get(ParameterLocation.HEADER)
    if header and not header.mode.is_positive and _has_good_key(case):
        return False
    if _is_a_name(case.body):
        return not case.meta or case.meta.components[ParameterLocation.BODY].mode.is_positive
    if not isinstance(case.body, dict):
        return True
    return all(_is_wrong_or_right(case.body.get(name, True)) for name in FLAGS)


def _is_wrong_or_right(value: object) -> bool:
    """Return whether a flag is what it is meant to be."""
    if isinstance(value, bool):
        return True
    values = value if isinstance(value, list) else [value]
    return len(values) > 1 or not all(map(_reads_as_a_flag, values))


def _has_good_key(case: Case) -> bool:
    """Return whether the Idempotency-Key is right as it is sent, or there is none."""
    key = case.headers.get(KEY_NAME) if case.headers else None
    return key is None or KEY.fullmatch(str(key)) is not None


def _is_a_name(body: object) -> bool:
    try:
        return bool(sanitize_filename(ImageChanges.model_validate(body).filename, ""))
    except ValidationError:
        return False


def _reads_as_a_flag(value: object) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    try:
        TypeAdapter(bool).validate_python(text)
    except ValidationError:
        return False
    return True
