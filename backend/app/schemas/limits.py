"""The limits of the service on the wire."""

from pydantic import BaseModel, ConfigDict, Field

from app.imaging.formats import ImageType


class LimitsOut(BaseModel):
    """What one upload, or one address, may add."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "accepted_types": list(ImageType),
                    "max_upload_bytes": 52_428_800,
                    "batch_max_files": 20,
                    "uploads_per_hour": 100,
                }
            ]
        },
        title="Limits",
    )

    accepted_types: list[ImageType] = Field(description="Detected from a file's first bytes")
    max_upload_bytes: int = Field(description="Most bytes of one file")
    batch_max_files: int = Field(description="Most files in one batch")
    uploads_per_hour: int | None = Field(
        description="Most images that one address (of IPv6, one /64 network) may add within an "
        "hour; null = unlimited"
    )
