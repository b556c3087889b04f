"""Links to private images on the wire."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from app.schemas.image import EXAMPLE_BASE_URL, EXAMPLE_ID

MOST_SECONDS: Final = 365 * 24 * 3600
_EXAMPLE_QUERY: Final = "expires=1795800000&key=0&signature=w3Zc1n9uXa0J5oQf7Lk2Rg"


class LinkWanted(BaseModel):
    """A link that is to be made."""

    model_config = ConfigDict(extra="forbid")

    expires_in: StrictInt = Field(
        ge=1, le=MOST_SECONDS, examples=[86_400], description="Seconds that it is good for"
    )


class LinkOut(BaseModel):
    """A link to the file of a private image, for whoever has it."""

    model_config = ConfigDict(title="Link")

    url: str = Field(
        description="Absolute address of the file",
        examples=[f"{EXAMPLE_BASE_URL}/api/v1/images/{EXAMPLE_ID}/file?{_EXAMPLE_QUERY}"],
    )
    expires_at: datetime = Field(description="UTC; earlier if the image is made public")
