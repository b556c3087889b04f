"""What a camera recorded of an image, on the wire."""

from typing import Annotated, Final

from pydantic import Field
from pydantic.config import JsonDict
from typing_extensions import TypedDict  # Python's own has too little for Pydantic before 3.12

METADATA_EXAMPLE: Final[JsonDict] = {
    "camera_make": "FUJIFILM",
    "camera_model": "X-T5",
    "lens": "XF35mmF1.4 R",
    "software": "Digital Camera X-T5 Ver4.10",
    "taken_at": "2026-11-21T16:20:00+01:00",
    "exposure_time": 0.004,
    "f_number": 2.8,
    "iso": 400,
    "focal_length": 35.0,
    "focal_length_35mm": 53,
    "orientation": 1,
}


class MetadataOut(TypedDict, total=False):
    """What the camera and programs wrote into the file; a field that it lacks is not there."""

    camera_make: Annotated[str, Field(description="Who made the camera")]
    camera_model: str
    lens: Annotated[str, Field(description="Model of the lens")]
    software: Annotated[str, Field(description="What wrote the file, such as a camera's firmware")]
    taken_at: Annotated[
        str,
        Field(
            description="When it was taken, in local time (ISO 8601); with the offset from UTC "
            "where that is known",
            json_schema_extra={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d)?$"},
        ),
    ]
    exposure_time: Annotated[float, Field(description="Seconds; 0.004 is 1/250 s")]
    f_number: Annotated[float, Field(description="Of the aperture; 2.8 is f/2.8")]
    iso: Annotated[int, Field(description="Sensitivity")]
    focal_length: Annotated[float, Field(description="Millimetres")]
    focal_length_35mm: Annotated[
        int, Field(description="Millimetres that would show as much on 35 mm film")
    ]
    orientation: Annotated[
        int,
        Field(
            description="How viewers turn it, as Exif numbers it (1 = not at all); `width` and "
            "`height` are as it is shown",
            json_schema_extra={"minimum": 1, "maximum": 8},
        ),
    ]
