"""Which types of image can be stripped, and by what."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from app.imaging.formats import ImageType
from app.imaging.stripping import gif, jpeg, png, webp
from app.imaging.stripping.base import Stripper

STRIPPERS: Final[Mapping[ImageType, Callable[[], Stripper]]] = {
    ImageType.JPEG: partial(Stripper, jpeg.strip),
    ImageType.PNG: partial(Stripper, png.strip),
    ImageType.GIF: partial(Stripper, gif.strip),
    ImageType.WEBP: partial(Stripper, webp.strip),
}
"""Begins to strip a file of each type. Those of other types cannot be stripped."""
