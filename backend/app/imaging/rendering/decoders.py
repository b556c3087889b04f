"""Opening and decoding images: JPEG, PNG and WebP by libvips, the others as ADR 42 says.

GIF and AVIF are decoded by Pillow, HEIC by pillow-heif: the first frame or the primary image, in
one thread. Whichever decodes, libvips shrinks the image and converts its colours.
"""

from collections.abc import Callable, Mapping
from typing import Final, cast

import pyvips  # type: ignore[import-untyped]
from PIL import _avif

from app.imaging.formats import ImageType
from app.imaging.rendering.gif import open_gif
from app.imaging.rendering.opened import (
    Opened,
    decode,
    map_file,
    shrink_to,
    source_of,
    to_image,
    to_srgb,
)
from app.imaging.rendering.original import read_original


def open_with_libvips(descriptor: int) -> Opened:
    """Open an image that libvips shrinks while it decodes."""
    image = pyvips.Image.new_from_source(source_of(descriptor), "", access="sequential")
    colours = to_srgb(image)

    def shrink(width: int, height: int) -> pyvips.Image:
        options = {"size": "force", "no_rotate": True, "fail_on": "none", **colours}
        source = source_of(descriptor)
        shrunk = pyvips.Image.thumbnail_source(source, width, height=height, **options)
        return shrunk.colourspace("srgb").copy_memory()

    exif = image.get("exif-data") if image.get_typeof("exif-data") else b""
    return Opened(image.width, image.height, shrink, exif=exif)


def open_webp(descriptor: int) -> Opened:
    """Open a WebP."""
    opened = open_with_libvips(descriptor)

    def shrink(width: int, height: int) -> pyvips.Image:
        return decode(lambda: opened.shrink(width, height), (opened.width, opened.height))

    return opened._replace(shrink=shrink)


def open_avif(descriptor: int) -> Opened:
    """Open an AVIF, which Pillow neither turns nor crops.

    Pillow's decoder is called directly: through `Image` there would be two more copies of the
    pixels, which take half as much memory again and a third more time.
    """
    decoder = _avif.AvifDecoder(map_file(descriptor), "dav1d", 1)
    size, _, mode, profile, exif, *_ = decoder.get_info()
    shown = read_original(descriptor).header.size or size
    cropped = min(size[0], shown[0]), min(size[1], shown[1])

    def shrink(width: int, height: int) -> pyvips.Image:
        pixels, *_ = decode(lambda: decoder.get_frame(0), size)
        return shrink_to(to_image(pixels, size, mode, profile).crop(0, 0, *cropped), width, height)

    return Opened(*cropped, shrink, exif=exif or b"")


def open_heic(descriptor: int) -> Opened:
    """Open a HEIC, which libheif turns itself. Only here is its library imported."""
    import pillow_heif  # noqa: PLC0415 - 25 MB of address space

    options = pillow_heif.options
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    images = pillow_heif.open_heif(map_file(descriptor))
    primary = images[images.primary_index]
    if not primary.info["primary"]:
        raise ValueError("The primary image cannot be decoded.")

    profile = cast("bytes | None", primary.info.get("icc_profile"))

    def shrink(width: int, height: int) -> pyvips.Image:
        pixels = decode(lambda: primary.data, primary.size)
        return shrink_to(to_image(pixels, primary.size, primary.mode, profile), width, height)

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
