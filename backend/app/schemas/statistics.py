"""The downloads of an image on the wire."""

from datetime import date
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

_DAY: Final[JsonDict] = {"day": "2026-11-24", "downloads": 1742, "bytes": 839_840_846}


class DayOut(BaseModel):
    """The downloads of one day."""

    model_config = ConfigDict(title="StatisticsOfDay", from_attributes=True)

    day: date = Field(description="UTC")
    downloads: int
    bytes: int = Field(description="That were sent of the file")


class StatisticsOut(BaseModel):
    """How often the file of an image was downloaded."""

    model_config = ConfigDict(
        title="Statistics",
        from_attributes=True,
        json_schema_extra={
            "examples": [{"downloads": 1742, "bytes": 839_840_846, "days": [_DAY]}],
        },
    )

    downloads: int = Field(description="Of all days")
    bytes: int = Field(description="The same")
    days: list[DayOut] = Field(
        description="The last 366 days on which there were any, newest first"
    )
