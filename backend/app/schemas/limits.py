"""The limits of the service on the wire."""

from pydantic import BaseModel, ConfigDict, Field

from app.domain.actor import Access
from app.imaging.formats import ImageType


class LimitsOut(BaseModel):
    """What one upload, or one address, may add."""

    model_config = ConfigDict(title="Limits")

    access: Access = Field(
        examples=["open"],
        description="What may be done without an API key: all that is done with images (open); "
        "uploads, and deletes by `delete_token` (upload); nothing but to fetch public files (keys)",
    )
    accepted_types: list[ImageType] = Field(
        examples=[[*ImageType]], description="Detected from a file's first bytes"
    )
    max_upload_bytes: int = Field(examples=[52_428_800], description="Most bytes of one file")
    batch_max_files: int = Field(examples=[20], description="Most files in one batch")
    uploads_per_hour: int | None = Field(
        examples=[100],
        description="Most images that one address (of IPv6, one /64 network) may add within an "
        "hour; null = unlimited",
    )
    thumbnail_sizes: list[int] = Field(
        examples=[[150, 300, 800]],
        description="Most pixels of the longer side of thumbnails; empty = there are none",
    )
