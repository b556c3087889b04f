"""Which types of image can be stripped, and by what."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from app.imaging.formats import ImageType
from app.imaging.stripping import gif, jpeg, png, webp
from app.imaging.stripping.base import PartStripper, Stripper

STRIPPERS: Final[Mapping[ImageType, Callable[[], Stripper]]] = {
    ImageType.JPEG: partial(PartStripper, jpeg.strip),
    ImageType.PNG: partial(PartStripper, png.strip),
    ImageType.GIF: partial(PartStripper, gif.strip),
    ImageType.WEBP: partial(PartStripper, webp.strip),
}
"""Begins to strip a file of each type. Those of other types cannot be stripped."""
