"""The form of a request."""

from fastapi import Request

from app.api.forms.multipart import OPTIONS, FormReader
from app.api.forms.rejections import FORM_MEDIA_TYPE, InvalidField, MissingField, UnsupportedBody


def read_form(request: Request, field: str) -> FormReader:
    """Return a reader of the form; a request without a body is one without the field.

    Raises:
        InvalidField: If the address asks for what only the form can.
        UnsupportedBody: If the body is something else, or compressed.
        MissingField: If there is none.
    """
    for name in OPTIONS:
        if name in request.query_params:
            raise InvalidField(name, f"Send {name} as a field of the form, before the file.")
    headers = request.headers
    content_type = headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != FORM_MEDIA_TYPE:
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        raise UnsupportedBody(field) if has_body else MissingField(field)
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedBody(field)
    return FormReader(content_type, request.stream())
