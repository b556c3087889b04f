"""Thumbnails in three sizes as the libraries make them when they are called directly."""

from io import BytesIO
from pathlib import Path
from typing import Final

SIZES: Final = (800, 300, 150)
QUALITY: Final = 80


def with_libvips(file: Path) -> list[bytes]:
    """Shrink while the image is decoded, in one thread."""
    import pyvips  # type: ignore[import-untyped]  # noqa: PLC0415 - not in the process of the other

    pyvips.cache_set_max(0)
    thumbnails = []
    image = pyvips.Image.thumbnail(str(file), SIZES[0], height=SIZES[0], size="down")
    for size in SIZES:
        if size != SIZES[0]:
            image = image.thumbnail_image(size, height=size, size="down")
        image = image.copy_memory()
        thumbnails.append(image.webpsave_buffer(Q=QUALITY, keep="none"))
    return thumbnails


def with_pillow(file: Path) -> list[bytes]:
    """Decode a JPEG in a fraction of its size, and reduce by a whole number before resampling."""
    import pillow_heif  # noqa: PLC0415 - not in the process of the other
    from PIL import AvifImagePlugin, Image, ImageOps  # noqa: PLC0415 - the same

    pillow_heif.register_heif_opener(decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    thumbnails = []
    with Image.open(file) as image:
        image.draft("RGB", (SIZES[0], SIZES[0]))
        shrunk: Image.Image = ImageOps.exif_transpose(image)
        if shrunk.mode == "P":
            shrunk = shrunk.convert("RGB")
        for size in SIZES:
            shrunk.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2)
            buffer = BytesIO()
            shrunk.save(buffer, "WEBP", quality=QUALITY, method=4)
            thumbnails.append(buffer.getvalue())
    return thumbnails


WAYS: Final = {"libvips": with_libvips, "Pillow": with_pillow}
WAYS_OF_HEIC: Final = ("Pillow",)
"""libvips, as it is installed, has no decoder of HEVC; Pillow has pillow-heif's."""
