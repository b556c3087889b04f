"""Images on the wire."""

from datetime import datetime
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.domain.image import Image

EXAMPLE_BASE_URL: Final = "http://localhost:8000"
"""Stands in descriptions and examples for the address of the service, which replaces it."""
EXAMPLE_ID: Final = "7f1c8e9a-4b5d-4c3e-9f2a-6d8b0e1c2a34"
IMAGE_EXAMPLE: Final[JsonDict] = {
    "id": EXAMPLE_ID,
    "filename": "photo.jpg",
    "storage_key": "7f1c8e9a4b5d4c3e9f2a6d8b0e1c2a34.jpg",
    "content_type": "image/jpeg",
    "file_size": 482113,
    "checksum": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "width": 4032,
    "height": 3024,
    "truncated": False,
    "created_at": "2026-11-24T12:00:00.123456Z",
    "url": f"{EXAMPLE_BASE_URL}/api/v1/images/{EXAMPLE_ID}/file",
}


class ImageOut(BaseModel):
    """One stored image."""

    model_config = ConfigDict(json_schema_extra={"examples": [IMAGE_EXAMPLE]}, title="Image")

    id: UUID
    filename: str = Field(description="The client's name for it, made harmless")
    storage_key: str = Field(description="The key of its bytes in the storage")
    content_type: str = Field(description="image/jpeg or image/png, detected from the bytes")
    file_size: int = Field(description="Bytes")
    checksum: str | None = Field(
        description="SHA-256 of its bytes, taken as they arrived; null in images of earlier "
        "versions until the operator has filled it in",
        json_schema_extra={"pattern": "^sha256:[0-9a-f]{64}$"},
    )
    width: int | None = Field(
        description="Pixels, as viewers show it (turned as its Exif says); null if not known"
    )
    height: int | None = Field(description="The same")
    truncated: bool | None = Field(
        description="Whether the file ends before its image does, as after a broken download; it "
        "is stored as it was sent. Found in its structure, without decoding it; null where that "
        "is unknown"
    )
    created_at: datetime = Field(description="UTC")
    url: str = Field(description="Absolute address of the file")

    @classmethod
    def of(cls, image: Image, images_url: str) -> Self:
        """Return an image as clients see it; `images_url` is the collection's absolute URL."""
        checksum = image.checksum and f"sha256:{image.checksum.hex()}"
        shown = {"checksum": checksum, "url": f"{images_url}/{image.id}/file"}
        return cls(**image._asdict() | shown)


class ImageList(BaseModel):
    """One page of images, newest first."""

    items: list[ImageOut]
    next_cursor: str | None = Field(description="For the next page; null on the last")


class FailedFile(BaseModel):
    """A file of a batch that was not stored."""

    filename: str = Field(examples=["notes.txt"])
    status: int = Field(examples=[400], description="The status a single upload would have had")
    detail: str = Field(examples=["Invalid file type: the file is neither a JPEG nor a PNG image."])


class BatchOut(BaseModel):
    """What became of the files of a batch, each list in the order of the request."""

    uploaded: list[ImageOut]
    failed: list[FailedFile]
