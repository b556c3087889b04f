"""How other programs decode images: Pillow, and libvips where it can."""

from io import BytesIO
from typing import Any

import pillow_heif
import pyvips  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageOps

from testkit.format_samples import picture

_SRGB = ImageCms.createProfile("sRGB")


def by_pillow(content: bytes) -> Image.Image:
    """Decode the first frame as a browser shows it: in sRGB, turned unless it is a WebP.

    Raises:
        OSError: If it cannot be decoded.
    """
    pillow_heif.register_heif_opener()
    with Image.open(BytesIO(content)) as image:
        image.load()
        profile = image.info.get("icc_profile")
        shown = image if image.format == "WEBP" else ImageOps.exif_transpose(image)
        if profile:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(shown.convert("RGB"), source, _SRGB)
            assert converted
            shown = converted
        return shown.convert("RGBA")


def by_vips(content: bytes) -> Image.Image:
    """Decode it in the same way by libvips.

    Raises:
        pyvips.Error: If it cannot be decoded.
    """
    image = pyvips.Image.new_from_buffer(content, "", fail_on="error")
    if image.get("vips-loader") != "webpload_buffer":
        image = image.autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb")
    image = image.colourspace("srgb").cast("uchar")
    image = image if image.hasalpha() else image.addalpha()
    return Image.frombytes("RGBA", (image.width, image.height), image.write_to_memory())


def all_frames(content: bytes) -> list[Any]:
    """Decode all frames, with what is known of their colours and their times."""
    pillow_heif.register_heif_opener()
    with Image.open(BytesIO(content)) as image:
        found: list[Any] = [image.info.get("icc_profile"), image.info.get("loop")]
        count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        for frame in range(count):
            image.seek(frame)
            image.load()
            times = (image.info.get("duration"), image.info.get("transparency"))
            found.append((image.mode, image.size, times, image.convert("RGBA").tobytes()))
        return found


def looks_like(shown: Image.Image, other: Image.Image, *, tolerance: int = 12) -> bool:
    """Return whether two images have the same quadrants, but for what compression changes."""
    pairs = zip(picture.quadrants(shown), picture.quadrants(other), strict=True)
    return all(
        abs(one[3] - two[3]) <= tolerance
        and (not two[3] or max(abs(a - b) for a, b in zip(one, two, strict=True)) <= tolerance)
        for one, two in pairs
    )
