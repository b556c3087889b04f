"""Decoding GIF by Pillow: its first frame, one byte a pixel."""

from functools import partial
from typing import IO, Final, cast

import pyvips  # type: ignore[import-untyped]
from PIL.GifImagePlugin import GifImageFile

from app.imaging.rendering.opened import Opened, map_file, shrink_to

_COLOURS: Final = 256
_GREYS: Final = [channel for grey in range(_COLOURS) for channel in (grey, grey, grey)]
_UNUSED: Final = [0] * 3 * _COLOURS
_CLEAR: Final = [0, 0, 0, 0]
_OPAQUE: Final = 255


def open_gif(descriptor: int) -> Opened:
    """Open a GIF, of which the first frame is shown, however many there are."""
    image = GifImageFile(cast("IO[bytes]", map_file(descriptor)))
    return Opened(*image.size, partial(_shrink_gif, image))


def _shrink_gif(image: GifImageFile, width: int, height: int) -> pyvips.Image:
    """Look up the colours while the image is shrunk: one byte a pixel is enough."""
    canvas = (0, 0, *image.size)
    place = image.tile[0].extents or canvas
    image.load()
    transparent = image.info.get("transparency")
    palette = (image.getpalette() or _GREYS) + _UNUSED
    channels = [palette[channel : 3 * _COLOURS : 3] for channel in range(3)]
    if transparent is not None or place != canvas:
        channels.append([0 if index == transparent else _OPAQUE for index in range(_COLOURS)])
    table = bytes(value for colour in zip(*channels, strict=True) for value in colour)
    colours = pyvips.Image.new_from_memory(table, _COLOURS, 1, len(channels), "uchar")
    frame = image if place == canvas else image.crop(place)
    indices = pyvips.Image.new_from_memory(frame.tobytes(), *frame.size, 1, "uchar")
    pixels = indices.maplut(colours).copy(interpretation="srgb")
    if place != canvas:
        pixels = pixels.embed(*place[:2], *image.size, extend="background", background=_CLEAR)
    return shrink_to(pixels, width, height)
