"""Changes of stored images on the wire."""

from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from app.schemas.image import EXAMPLE_ID

MOST_DELETED: Final = 100
"""Images of one request."""
_MISSING_ID: Final = "00000000-0000-4000-8000-000000000000"


class ImageChanges(BaseModel):
    """What is to be changed of an image; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    filename: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None,
        description="A name for it, which is made harmless as that of an upload: of a path only "
        "the last part is kept, of a long name 255 characters",
        examples=["holiday.jpg"],
        json_schema_extra={"format": "file-name"},
    )
    is_public: Annotated[StrictBool | None, WithJsonSchema({"type": "boolean"})] = Field(
        None,
        description="Whether anybody may fetch the file and its thumbnails. A change is effective "
        "everywhere when it is answered, and ends all signed addresses",
        examples=[False],
    )

    @field_validator("filename", "is_public", mode="before")
    @classmethod
    def _is_not_null(cls, value: Any) -> Any:  # noqa: ANN401 - anything that JSON has
        if value is None:
            raise ValueError("leave it out, and it stays as it is")
        return value

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name what is to change: filename, is_public or both")
        return self


class ImagesToDelete(BaseModel):
    """Images that are to be deleted."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(
        min_length=1, max_length=MOST_DELETED, examples=[[EXAMPLE_ID, _MISSING_ID]]
    )


class FailedDeletion(BaseModel):
    """An image that was not deleted."""

    id: UUID = Field(examples=[_MISSING_ID])
    status: int = Field(examples=[404], description="The status a single delete would have had")
    detail: str = Field(examples=[f"No image has the id {_MISSING_ID}."])


class DeletedImages(BaseModel):
    """What became of the images of a batch, each list in the order of the request."""

    deleted: Annotated[list[UUID], Field(examples=[[EXAMPLE_ID]])]
    failed: list[FailedDeletion]
