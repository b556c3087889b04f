"""Why a body that should be a form is rejected; each sentence says what to send instead."""

from collections.abc import Sequence
from typing import Final

from app.api.images.paths import BATCH_PATH, UPLOAD_PATH

FORM_MEDIA_TYPE: Final = "multipart/form-data"
CALLS: Final = {"file": UPLOAD_PATH, "files": BATCH_PATH}
"""The call that takes files, by their field."""
MAX_SHOWN_FIELDS: Final = 5
"""How many of a form's field names an answer repeats."""


class UnsupportedBody(Exception):
    """The body is no form, or it is compressed."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"This call takes a form ({FORM_MEDIA_TYPE}, not compressed) with the file in the "
            f"field '{field}', as curl sends it with -F {field}=@photo.jpg."
        )


class MalformedMultipart(Exception):
    """The body is not what a multipart/form-data body with one file, or some files, looks like."""


class MissingField(Exception):
    """The form has no part of this name.

    Args:
        field: The name.
        found: The names of the parts that it has; long ones cut.
    """

    def __init__(self, field: str, found: Sequence[str] = ()) -> None:
        super().__init__(f"The form has no file in the field '{field}'{_hint(found)}.")
        self.field = field


class InvalidField(Exception):
    """A field of the form has a value that it cannot have, or comes where it is of no use.

    Args:
        field: Its name.
        sentence: What to send instead.
    """

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def _hint(found: Sequence[str]) -> str:
    """Name the fields that came, and the call that takes one of them."""
    names = list(dict.fromkeys(found))
    shown = ", ".join(f"'{_printable(name)}'" for name in names[:MAX_SHOWN_FIELDS])
    more = " and others" if len(names) > MAX_SHOWN_FIELDS else ""
    other = next((f"; '{name}' belongs to {CALLS[name]}" for name in names if name in CALLS), "")
    return f", only {shown}{more}{other}" if names else ""


def _printable(name: str) -> str:
    return "".join(filter(str.isprintable, name))
