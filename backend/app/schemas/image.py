"""Images on the wire."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from typing_extensions import TypedDict  # Python's own has too little for Pydantic before 3.12

from app.domain.image import Image
from app.domain.thumbnails import fit
from app.schemas.metadata import METADATA_EXAMPLE, MetadataOut

EXAMPLE_BASE_URL: Final = "http://localhost:8000"
"""Stands in descriptions and examples for the address of the service, which replaces it."""
_NO_QUERIES: Final[Mapping[str, str]] = MappingProxyType({})
EXAMPLE_ID: Final = "7f1c8e9a-4b5d-4c3e-9f2a-6d8b0e1c2a34"
EXAMPLE_CHECKSUM: Final = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
IMAGE_EXAMPLE: Final[JsonDict] = {
    "id": EXAMPLE_ID,
    "filename": "photo.jpg",
    "storage_key": "7f1c8e9a4b5d4c3e9f2a6d8b0e1c2a34.jpg",
    "content_type": "image/jpeg",
    "file_size": 482113,
    "checksum": EXAMPLE_CHECKSUM,
    "width": 4032,
    "height": 3024,
    "truncated": False,
    "placeholder": "1QcSHQRnh493V4dIh4eXh1h4kJUI",
    "thumbnails": {
        str(size): {
            "url": f"{EXAMPLE_BASE_URL}/api/v1/images/{EXAMPLE_ID}/thumbnails/{size}",
            "width": size,
            "height": size * 3 // 4,
        }
        for size in (150, 300, 800)
    },
    "is_public": True,
    "created_at": "2026-11-24T12:00:00.123456Z",
    "updated_at": "2026-11-24T12:00:00.123456Z",
    "url": f"{EXAMPLE_BASE_URL}/api/v1/images/{EXAMPLE_ID}/file",
}

UPLOADED_EXAMPLE: Final[JsonDict] = IMAGE_EXAMPLE | {
    "delete_token": "gZpPZ5r0cT2yZ3yVbW3q7A",
    "delete_url": f"{EXAMPLE_BASE_URL}/delete#{EXAMPLE_ID}.gZpPZ5r0cT2yZ3yVbW3q7A",
}


class ThumbnailOut(TypedDict):
    """A thumbnail, which is rendered when it is asked for, if not before."""

    url: Annotated[str, Field(description="Absolute address of it")]
    width: Annotated[int | None, Field(description="Pixels; null if those of the image are")]
    height: Annotated[int | None, Field(description="The same")]


class ImageOut(BaseModel):
    """One stored image."""

    model_config = ConfigDict(json_schema_extra={"examples": [IMAGE_EXAMPLE]}, title="Image")

    id: UUID
    filename: str = Field(description="The clients' name for it, made harmless")
    storage_key: str = Field(description="The key of its bytes in the storage")
    content_type: str = Field(
        description="image/jpeg, image/png, image/gif, image/webp, image/avif or image/heic, "
        "detected from the bytes"
    )
    file_size: int = Field(description="Bytes")
    checksum: str | None = Field(
        description="SHA-256 of the stored bytes, taken as they arrived; null in images of earlier "
        "versions until the operator has filled it in",
        json_schema_extra={"pattern": "^sha256:[0-9a-f]{64}$"},
    )
    width: int | None = Field(
        description="Pixels, as viewers show it (turned as its Exif says); null if not known"
    )
    height: int | None = Field(description="The same")
    truncated: bool | None = Field(
        description="Whether the file ends before its image does, as after a broken download; it "
        "is stored all the same. Found in its structure, without decoding it; null where that is "
        "unknown"
    )
    placeholder: str | None = Field(
        description="ThumbHash of it in base64, to be shown while a thumbnail loads; null until "
        "the image is rendered"
    )
    thumbnails: dict[str, ThumbnailOut] = Field(
        description="WebP images by the most pixels of their longer side, of each size in "
        "`thumbnail_sizes` of the limits; empty if none can be made"
    )
    is_public: bool = Field(
        description="Whether anybody may fetch the file and the thumbnails; of a private image "
        "their addresses are signed, and expire"
    )
    created_at: datetime = Field(description="UTC")
    updated_at: datetime = Field(
        description="When it was last given another name, or made private or public; `created_at` "
        "until then"
    )
    url: str = Field(
        description="Absolute address of the file; that of a private image is good for one to two "
        "hours, and works without a key"
    )

    @classmethod
    def of(
        cls,
        image: Image,
        images_url: str,
        thumbnail_sizes: Sequence[int],
        queries: Mapping[str, str] = _NO_QUERIES,
        **details: object,
    ) -> Self:
        """Return an image as clients see it.

        Args:
            image: The image.
            images_url: The collection's absolute URL.
            thumbnail_sizes: Longest sides of the thumbnails, in pixels.
            queries: Of the addresses of a private image, as `AddressSigner.queries` returns them.
            details: What `Image` has not and this model has.
        """
        paths = {"file": "file", **{str(size): f"thumbnails/{size}" for size in thumbnail_sizes}}
        urls = {
            name: f"{images_url}/{image.id}/{path}" + (f"?{queries[name]}" if queries else "")
            for name, path in paths.items()
        }
        checksum = image.checksum and f"sha256:{image.checksum.hex()}"
        placeholder = image.placeholder and b64encode(image.placeholder).decode()
        rendered = image.thumbnail_sizes or ()
        sizes = [size for size in thumbnail_sizes if not image.render_error or size in rendered]
        shown = {
            "checksum": checksum,
            "placeholder": placeholder,
            "thumbnails": {str(size): _thumbnail(image, size, urls[str(size)]) for size in sizes},
            "updated_at": image.updated_at or image.created_at,
            "url": urls["file"],
        }
        return cls(**image._asdict() | shown | details)


def _thumbnail(image: Image, size: int, url: str) -> ThumbnailOut:
    width, height = image.width, image.height
    shown = fit(width, height, size) if width and height else (None, None)
    return {"url": url, "width": shown[0], "height": shown[1]}


class UploadedImageOut(ImageOut):
    """One stored image, as whoever uploaded it sees it."""

    model_config = ConfigDict(json_schema_extra={"examples": [UPLOADED_EXAMPLE]}, title="Uploaded")

    delete_token: str = Field(
        description="Deletes this image without an API key, sent as X-Delete-Token. It is shown in "
        "this answer alone: keep it secret, and as long as the image"
    )
    delete_url: str = Field(
        description="Absolute address of a page that asks, and then deletes the image. The token "
        "is in its fragment, which browsers send to nobody"
    )


class ImageDetailsOut(ImageOut):
    """One stored image, with what is known of how it was made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [IMAGE_EXAMPLE | {"metadata": METADATA_EXAMPLE}]},
        title="ImageDetails",
    )

    metadata: MetadataOut | None = Field(
        description="From the file's Exif; never where it was taken. Empty if there is none, null "
        "until a worker has looked"
    )


class ImageList(BaseModel):
    """One page of images, newest first."""

    items: list[ImageOut]
    next_cursor: str | None = Field(description="For the next page; null on the last")


class ImageCountOut(BaseModel):
    """How many images there are."""

    model_config = ConfigDict(title="ImageCount")

    count: int = Field(examples=[1742], description="At most 10000")
    exact: bool = Field(examples=[True], description="Whether it is all; false if there are more")


class FailedFile(BaseModel):
    """A file of a batch that was not stored."""

    filename: str = Field(examples=["notes.txt"])
    status: int = Field(examples=[400], description="The status a single upload would have had")
    detail: str = Field(
        examples=["Invalid file type: the file is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image."]
    )


class BatchOut(BaseModel):
    """What became of the files of a batch, each list in the order of the request."""

    uploaded: list[UploadedImageOut]
    existing: list[ImageOut] = Field(
        description="With `on_duplicate=return`: images that were there already, each in the place "
        "of a file with the same bytes, which was not stored"
    )
    failed: list[FailedFile]
