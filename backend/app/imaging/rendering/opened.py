"""An image that is open, and what its decoders share."""

import mmap
import os
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import pyvips  # type: ignore[import-untyped]

_LAYOUTS: Final = {
    "L": (1, "uchar", "b-w"),
    "I;16": (1, "ushort", "grey16"),
    "RGB": (3, "uchar", "srgb"),
    "RGBA": (4, "uchar", "srgb"),
    "RGBa": (4, "uchar", "srgb"),
}
"""Channels of a pixel, their type, and their meaning to libvips, by Pillow's name for them."""
_BYTES_PER_PIXEL: Final = 16
"""Most that WebP, AVIF or HEIC takes: planes of 10 bits with alpha, and the result twice."""

_Decoded = TypeVar("_Decoded")


class PerhapsNoMemory(Exception):
    """Decoding failed where there may have been too little memory, which the library never says."""


class Opened(NamedTuple):
    """An image whose header was read, and nothing decoded."""

    width: int
    height: int
    """Pixels, as they are decoded."""
    shrink: Callable[[int, int], pyvips.Image]
    """Decode the image in a width and a height: in sRGB with 8 bits, truncated as it is."""
    is_turned: bool = False
    """Whether it is decoded as viewers show it, so that no orientation applies."""
    exif: bytes = b""
    """As it is in the file; empty if there is none."""


def decode(decode_it: Callable[[], _Decoded], size: tuple[int, int]) -> _Decoded:
    """Return what `decode_it` returns, of an image of this width and height.

    Raises:
        PerhapsNoMemory: If it fails without what an image of that size may need.
    """
    width, height = size
    is_enough = _is_free(width * height * _BYTES_PER_PIXEL)
    try:
        return decode_it()
    except (pyvips.Error, ValueError, SyntaxError, RuntimeError, OSError) as error:
        if is_enough:
            raise
        raise PerhapsNoMemory(str(error)) from error


def to_image(
    pixels: memoryview | bytes, size: tuple[int, int], mode: str, profile: bytes | None
) -> pyvips.Image:
    """Return pixels that Pillow or libheif has decoded, of a mode as Pillow names it."""
    bands, kind, interpretation = _LAYOUTS[mode]
    image = pyvips.Image.new_from_memory(pixels, *size, bands, kind)
    image = image.copy(interpretation=interpretation)
    if mode == "RGBa":
        image = image.unpremultiply().cast("uchar")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def shrink_to(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Return a decoded image in a width and a height, in sRGB with 8 bits."""
    options = {"size": "force", "no_rotate": True, **to_srgb(image)}
    shrunk = image.thumbnail_image(width, height=height, **options)
    return shrunk.colourspace("srgb").copy_memory()


def to_srgb(image: pyvips.Image) -> dict[str, str]:
    """Return the options of libvips that convert an image's colours to sRGB."""
    if image.interpretation == "cmyk":
        return {"input_profile": "cmyk", "output_profile": "srgb"}
    has_profile = image.get_typeof("icc-profile-data")
    return {"output_profile": "srgb"} if has_profile else {}


def map_file(descriptor: int) -> mmap.mmap:
    """Return the bytes of an open file, of which only those read are in memory."""
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def source_of(descriptor: int) -> pyvips.Source:
    """Return an open file for libvips to read, from its beginning."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(descriptor)


def _is_free(count: int) -> bool:
    """Return whether so many bytes of address space are left."""
    try:
        mmap.mmap(-1, count).close()
    except (OSError, OverflowError):
        return False
    return True
