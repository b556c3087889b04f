"""Opening and decoding images: JPEG, PNG and WebP by libvips, the others as ADR 42 says.

GIF and AVIF are decoded by Pillow, HEIC by pillow-heif: the first frame or the primary image, in
one thread. Whichever decodes, libvips shrinks the image and converts its colours.
"""

import mmap
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import IO, Final, NamedTuple, TypeVar, cast

import pyvips  # type: ignore[import-untyped]
from PIL import _avif
from PIL.GifImagePlugin import GifImageFile

from app.imaging.formats import ImageType
from app.imaging.rendering.original import read_original

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
_COLOURS: Final = 256
_GREYS: Final = [channel for grey in range(_COLOURS) for channel in (grey, grey, grey)]
_UNUSED: Final = [0] * 3 * _COLOURS
_CLEAR: Final = [0, 0, 0, 0]
_OPAQUE: Final = 255

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


def open_with_libvips(descriptor: int) -> Opened:
    """Open an image that libvips shrinks while it decodes."""
    image = pyvips.Image.new_from_source(_source(descriptor), "", access="sequential")
    colours = _colours(image)

    def shrink(width: int, height: int) -> pyvips.Image:
        options = {"size": "force", "no_rotate": True, "fail_on": "none", **colours}
        source = _source(descriptor)
        shrunk = pyvips.Image.thumbnail_source(source, width, height=height, **options)
        return shrunk.colourspace("srgb").copy_memory()

    exif = image.get("exif-data") if image.get_typeof("exif-data") else b""
    return Opened(image.width, image.height, shrink, exif=exif)


def open_webp(descriptor: int) -> Opened:
    """Open a WebP."""
    opened = open_with_libvips(descriptor)

    def shrink(width: int, height: int) -> pyvips.Image:
        return _decode(lambda: opened.shrink(width, height), (opened.width, opened.height))

    return opened._replace(shrink=shrink)


def open_gif(descriptor: int) -> Opened:
    """Open a GIF, of which the first frame is shown, however many there are."""
    image = GifImageFile(cast("IO[bytes]", _content(descriptor)))
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
    return _shrink(pixels, width, height)


def open_avif(descriptor: int) -> Opened:
    """Open an AVIF, which Pillow neither turns nor crops.

    Pillow's decoder is called directly: through `Image` there would be two more copies of the
    pixels, which take half as much memory again and a third more time.
    """
    decoder = _avif.AvifDecoder(_content(descriptor), "dav1d", 1)
    size, _, mode, profile, exif, *_ = decoder.get_info()
    shown = read_original(descriptor).header.size or size
    cropped = min(size[0], shown[0]), min(size[1], shown[1])

    def shrink(width: int, height: int) -> pyvips.Image:
        pixels, *_ = _decode(lambda: decoder.get_frame(0), size)
        return _shrink(_image(pixels, size, mode, profile).crop(0, 0, *cropped), width, height)

    return Opened(*cropped, shrink, exif=exif or b"")


def open_heic(descriptor: int) -> Opened:
    """Open a HEIC, which libheif turns itself. Only here is its library imported."""
    import pillow_heif  # noqa: PLC0415 - 25 MB of address space

    options = pillow_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    images = pillow_heif.open_heif(_content(descriptor))
    primary = images[images.primary_index]
    if not primary.info["primary"]:
        raise ValueError("The primary image cannot be decoded.")

    profile = cast("bytes | None", primary.info.get("icc_profile"))

    def shrink(width: int, height: int) -> pyvips.Image:
        pixels = _decode(lambda: primary.data, primary.size)
        return _shrink(_image(pixels, primary.size, primary.mode, profile), width, height)

    exif = cast("bytes | None", primary.info.get("exif")) or b""
    return Opened(*primary.size, shrink, is_turned=True, exif=exif)


OPENERS: Final[Mapping[ImageType, Callable[[int], Opened]]] = {
    ImageType.JPEG: open_with_libvips,
    ImageType.PNG: open_with_libvips,
    ImageType.WEBP: open_webp,
    ImageType.GIF: open_gif,
    ImageType.AVIF: open_avif,
    ImageType.HEIC: open_heic,
}


def _decode(decode: Callable[[], _Decoded], size: tuple[int, int]) -> _Decoded:
    """Return what `decode` does.

    Raises:
        PerhapsNoMemory: If it fails without what an image of that size may need.
    """
    width, height = size
    is_enough = _is_free(width * height * _BYTES_PER_PIXEL)
    try:
        return decode()
    except (pyvips.Error, ValueError, SyntaxError, RuntimeError, OSError) as error:
        if is_enough:
            raise
        raise PerhapsNoMemory(str(error)) from error


def _is_free(count: int) -> bool:
    """Return whether so many bytes of address space are left."""
    try:
        mmap.mmap(-1, count).close()
    except (OSError, OverflowError):
        return False
    return True


def _image(
    pixels: memoryview | bytes, size: tuple[int, int], mode: str, profile: bytes | None
) -> pyvips.Image:
    bands, kind, interpretation = _LAYOUTS[mode]
    image = pyvips.Image.new_from_memory(pixels, *size, bands, kind)
    image = image.copy(interpretation=interpretation)
    if mode == "RGBa":
        image = image.unpremultiply().cast("uchar")
    if profile:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _shrink(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    options = {"size": "force", "no_rotate": True, **_colours(image)}
    shrunk = image.thumbnail_image(width, height=height, **options)
    return shrunk.colourspace("srgb").copy_memory()


def _colours(image: pyvips.Image) -> dict[str, str]:
    """Return how to convert an image's colours to sRGB."""
    if image.interpretation == "cmyk":
        return {"input_profile": "cmyk", "output_profile": "srgb"}
    has_profile = image.get_typeof("icc-profile-data")
    return {"output_profile": "srgb"} if has_profile else {}


def _content(descriptor: int) -> mmap.mmap:
    return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)


def _source(descriptor: int) -> pyvips.Source:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return pyvips.Source.new_from_descriptor(descriptor)
