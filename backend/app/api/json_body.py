"""Bodies of JSON.

They are read here and not by FastAPI, which answers 400 to whatever is raised while it reads, such
as by the limit of a body's size.
"""

from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

JSON_MEDIA_TYPE: Final = "application/json"

_Model = TypeVar("_Model", bound=BaseModel)


class UnsupportedMediaType(Exception):
    """The body is not said to be JSON, or it is compressed."""

    def __init__(self) -> None:
        super().__init__(f"This call takes JSON (Content-Type: {JSON_MEDIA_TYPE}), not compressed.")


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the body for OpenAPI, because FastAPI does not see it being read."""
    content = {JSON_MEDIA_TYPE: {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


async def read_json(request: Request, model: type[_Model]) -> _Model:
    """Return the body of a request.

    Raises:
        UnsupportedMediaType: If it is not said to be JSON, or is compressed.
        RequestValidationError: If it is no JSON, or not what the model describes.
        BodyTooLarge: If it has too many bytes.
        RequestTooSlow: If it comes too slowly.
    """
    headers = request.headers
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = headers.get("content-encoding", "identity").strip().lower()
    if media_type != JSON_MEDIA_TYPE or coding != "identity":
        raise UnsupportedMediaType
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        errors = [{**item, "loc": ("body", *item["loc"])} for item in found]
        raise RequestValidationError(errors) from error
