"""The picture that all samples show: four quadrants, by whose colours a wrong turn is seen."""

from functools import cache
from io import BytesIO
from random import Random
from typing import Any, Final

from PIL import Image, ImageChops

SIZE: Final = (128, 96)
"""Width and height in pixels. HEVC of less than 64 is padded and cropped."""
QUADRANTS: Final = ((190, 30, 40), (30, 160, 50), (40, 50, 190), (215, 215, 205))
"""Colours in sRGB, on average: above left and right, below left and right."""

_MIDDLES: Final = ((1, 1, 3, 3), (5, 1, 7, 3), (1, 5, 3, 7), (5, 5, 7, 7))
"""Of the quadrants of 8 by 8 pixels."""
_NOISE: Final = 24
_STORED_FOR_ORIENTATION: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@cache
def upright() -> Image.Image:
    """Return the picture as it is shown."""
    width, height = SIZE
    image = Image.new("RGB", SIZE)
    for number, colour in enumerate(QUADRANTS):
        corner = (number % 2 * width // 2, number // 2 * height // 2)
        darker = tuple(part - _NOISE // 2 for part in colour)
        image.paste(darker, (*corner, corner[0] + width // 2, corner[1] + height // 2))
    grains = Random(1).randbytes(3 * width * height)  # noqa: S311 - the same in each run
    noise = Image.frombytes("RGB", SIZE, bytes(grain % (_NOISE + 1) for grain in grains))
    return ImageChops.add(image, noise)


def turned(orientation: int) -> Image.Image:
    """Return it as it is stored with an orientation, as Exif numbers them, to be shown upright."""
    image = upright()
    turn = _STORED_FOR_ORIENTATION.get(orientation)
    return image.transpose(turn) if turn is not None else image


def with_alpha() -> Image.Image:
    """Return it with a quadrant that is transparent."""
    image = upright().convert("RGBA")
    width, height = SIZE
    alpha = Image.new("L", SIZE, 255)
    alpha.paste(0, (width // 2, height // 2, width, height))
    image.putalpha(alpha)
    return image


def frames() -> tuple[Image.Image, list[Image.Image]]:
    """Return the first frame of an animation, which is the picture, and two others."""
    return upright(), [turned(3), turned(2)]


def quadrants(image: Image.Image) -> list[tuple[int, ...]]:
    """Return the average colour, with alpha, of the middle of each quadrant."""
    small = image.convert("RGBA").resize((8, 8), Image.Resampling.BOX)
    averages = (small.crop(box).resize((1, 1), Image.Resampling.BOX) for box in _MIDDLES)
    return [pixel for average in averages for pixel in [average.getpixel((0, 0))]]  # type: ignore[misc]


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Encode an image by Pillow."""
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
