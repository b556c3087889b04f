"""Rendering one image with libvips, whose loaders but those of accepted types are blocked."""

import os
from typing import Final

import pyvips  # type: ignore[import-untyped]

from app.domain.thumbnails import fit
from app.imaging.header import UPRIGHT, Header
from app.imaging.rendering import thumbhash
from app.imaging.rendering.original import read_original
from app.imaging.rendering.protocol import Answer

LOADERS: Final = ("VipsForeignLoadJpeg", "VipsForeignLoadPng")
QUALITY: Final = 80
"""Of WebP, 0 to 100."""
MAX_SIDE: Final = 65_535
"""Pixels; as many as a JPEG can have. Of a PNG, a single row could need a gigabyte."""

_NO_MEMORY: Final = ("out of memory", "insufficient memory", "cannot allocate")
"""In messages of libvips, libjpeg and the system."""
_NO_THREAD: Final = "creating thread"
"""In the message of GLib."""


class Refused(Exception):
    """The image has more pixels than allowed."""


def prepare() -> None:
    """Set up libvips for this process: once, before anything is rendered."""
    pyvips.cache_set_max(0)
    pyvips.operation_block_set("VipsForeignLoad", state=True)
    for name in LOADERS:
        pyvips.operation_block_set(name, state=False)


def try_to_render(descriptor: int, sizes: list[int], max_pixels: int) -> tuple[Answer, list[bytes]]:
    """Return the answer about the image of an open file, and its thumbnails if there are any.

    Raises:
        pyvips.Error: If the system has no more threads, which may be no fault of the image.
    """
    try:
        return render(descriptor, sizes, max_pixels)
    except Refused as error:
        return Answer(unrenderable=str(error)), []
    except (MemoryError, pyvips.Error) as error:
        detail = " ".join(str(error).split())
        if _NO_THREAD in detail:
            raise
        if isinstance(error, MemoryError) or any(words in detail.lower() for words in _NO_MEMORY):
            why = "Rendering the image needs more memory than RENDER_MEMORY_MB allows."
        else:
            why = "The image is damaged and cannot be decoded."
        return Answer(unrenderable=why, detail=detail), []


def render(descriptor: int, sizes: list[int], max_pixels: int) -> tuple[Answer, list[bytes]]:
    """Render an image in each size, and its placeholder.

    All sides are computed from the original's, and each image from the next larger one.

    Raises:
        Refused: If it has too many pixels.
        pyvips.Error: If it cannot be decoded, or there is not enough memory.
    """
    width, height, colours = _look_at(descriptor, max_pixels)
    header = read_original(descriptor).header
    shown = (height, width) if header.is_turned else (width, height)
    image = _load(descriptor, fit(width, height, max(sizes)), colours)
    thumbnails: dict[int, bytes] = {}
    for size in sorted(sizes, reverse=True):
        image = _shrink(image, fit(width, height, size))
        thumbnails[size] = _turn(image, header).webpsave_buffer(Q=QUALITY, keep="none")
    lengths = [len(thumbnails[size]) for size in sizes]
    answer = Answer(*shown, lengths, _placeholder(_turn(image, header)))
    return answer, [thumbnails[size] for size in sizes]


def _look_at(descriptor: int, max_pixels: int) -> tuple[int, int, dict[str, str]]:
    """Return width and height as they are stored, and how to convert the colours to sRGB.

    Raises:
        Refused: If there are too many pixels.
    """
    image = pyvips.Image.new_from_source(_source(descriptor), "", access="sequential")
    width, height = image.width, image.height
    pixels = width * height
    if pixels > max_pixels:
        raise Refused(f"The image has {pixels:,} pixels, and the limit is {max_pixels:,}.")
    if max(width, height) > MAX_SIDE:
        sides = f"{width:,} by {height:,} pixels"
        raise Refused(f"The image has {sides}, and the limit for a side is {MAX_SIDE:,}.")
    if image.interpretation == "cmyk":
        return width, height, {"input_profile": "cmyk", "output_profile": "srgb"}
    has_profile = image.get_typeof("icc-profile-data")
    return width, height, {"output_profile": "srgb"} if has_profile else {}


def _load(descriptor: int, sides: tuple[int, int], colours: dict[str, str]) -> pyvips.Image:
    """Decode an image while it is shrunk: in sRGB with 8 bits, not turned; truncated as it is."""
    width, height = sides
    options = {"size": "force", "no_rotate": True, "fail_on": "none", **colours}
    source = _source(descriptor)
    image = pyvips.Image.thumbnail_source(source, width, height=height, **options)
    return image.colourspace("srgb").copy_memory()


def _shrink(image: pyvips.Image, sides: tuple[int, int]) -> pyvips.Image:
    width, height = sides
    if (width, height) == (image.width, image.height):
        return image
    options = {"size": "force", "no_rotate": True}
    return image.thumbnail_image(width, height=height, **options).copy_memory()


def _turn(image: pyvips.Image, header: Header) -> pyvips.Image:
    turned = image.copy()
    orientation = header.orientation or UPRIGHT
    turned.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return turned.autorot()


def _placeholder(image: pyvips.Image) -> str:
    small = _shrink(image, fit(image.width, image.height, thumbhash.LONGEST_SIDE))
    rgba = small if small.hasalpha() else small.addalpha()
    pixels = bytes(rgba.cast("uchar").write_to_memory())
    return thumbhash.encode(small.width, small.height, pixels).hex()


def _source(descriptor: int) -> pyvips.Source:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(descriptor)
