"""Which types of image can be stripped, and by what."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from app.imaging.formats import ImageType
from app.imaging.stripping import jpeg, png
from app.imaging.stripping.base import PartStripper, Stripper

STRIPPERS: Final[Mapping[ImageType, Callable[[], Stripper]]] = {
    ImageType.JPEG: partial(PartStripper, jpeg.strip),
    ImageType.PNG: partial(PartStripper, png.strip),
}
"""Begins to strip a file of each type. Those of other types cannot be stripped."""
