"""Rendering one image: its thumbnails and its placeholder, within limits (ADR 38, ADR 42)."""

from typing import Final

import pyvips  # type: ignore[import-untyped]
from PIL import ImageFile

from app.domain.thumbnails import fit
from app.imaging.dimensions import configure_pillow
from app.imaging.header import UPRIGHT, Header
from app.imaging.rendering import thumbhash
from app.imaging.rendering.decoders import OPENERS
from app.imaging.rendering.opened import PerhapsNoMemory
from app.imaging.rendering.original import read_original
from app.imaging.rendering.protocol import LACKS_MEMORY, Answer

LOADERS: Final = ("VipsForeignLoadJpeg", "VipsForeignLoadPng", "VipsForeignLoadWebp")
"""Of libvips; all others are blocked."""
QUALITY: Final = 80
"""Of WebP, 0 to 100."""
MAX_SIDE: Final = 65_535
"""Pixels; as many as a JPEG can have. Of a PNG, a single row could need a gigabyte."""

_DAMAGED: Final = "The image is damaged and cannot be decoded."
_EITHER: Final = (
    "The image is damaged, or rendering it needs more memory than RENDER_MEMORY_MB allows."
)
_NO_MEMORY: Final = (
    "out of memory",
    "insufficient memory",
    "cannot allocate",
    "bytes failed",
    "failed to map",
)
"""In messages of libvips, libjpeg, libheif and the system."""
_NO_THREAD: Final = "creating thread"
"""In the message of GLib."""


class Refused(Exception):
    """The image has more pixels than allowed."""


def prepare() -> None:
    """Set up the libraries for this process: once, before anything is rendered."""
    pyvips.cache_set_max(0)
    pyvips.operation_block_set("VipsForeignLoad", state=True)
    for name in LOADERS:
        pyvips.operation_block_set(name, state=False)
    configure_pillow()
    ImageFile.LOAD_TRUNCATED_IMAGES = True


def try_to_render(descriptor: int, sizes: list[int], max_pixels: int) -> tuple[Answer, list[bytes]]:
    """Return the answer about the image of an open file, and its thumbnails if there are any.

    Raises:
        pyvips.Error: If the system has no more threads, which may be no fault of the image.
    """
    try:
        return render(descriptor, sizes, max_pixels)
    except Refused as error:
        return Answer(unrenderable=str(error)), []
    except Exception as error:  # Pillow raises anything
        detail = " ".join(str(error).split())
        if _NO_THREAD in detail:
            raise
        return Answer(unrenderable=_reason(error, detail.lower()), detail=detail), []


def _reason(error: Exception, detail: str) -> str:
    if isinstance(error, MemoryError) or any(words in detail for words in _NO_MEMORY):
        return LACKS_MEMORY
    return _EITHER if isinstance(error, PerhapsNoMemory) else _DAMAGED


def render(descriptor: int, sizes: list[int], max_pixels: int) -> tuple[Answer, list[bytes]]:
    """Render an image in each size, and its placeholder.

    All sides are computed from the original's, and each image from the next larger one.

    Raises:
        Refused: If it has too many pixels.
        Exception: Of any kind, if it cannot be decoded, or there is not enough memory.
    """
    original = read_original(descriptor)
    if original.type is None:
        raise ValueError("no image")
    if original.header.size:  # libraries may allocate as much while they open a file
        _check(*original.header.size, max_pixels)
    opened = OPENERS[original.type](descriptor)
    _check(opened.width, opened.height, max_pixels)
    header = Header() if opened.is_turned else original.header
    width, height = opened.width, opened.height
    shown = (height, width) if header.is_turned else (width, height)
    image = opened.shrink(*fit(width, height, max(sizes)))
    thumbnails: dict[int, bytes] = {}
    for size in sorted(sizes, reverse=True):
        image = _shrink(image, fit(width, height, size))
        thumbnails[size] = _turn(image, header).webpsave_buffer(Q=QUALITY, keep="none")
    lengths = [len(thumbnails[size]) for size in sizes]
    answer = Answer(*shown, lengths, _placeholder(_turn(image, header)))
    return answer, [thumbnails[size] for size in sizes]


def _check(width: int, height: int, max_pixels: int) -> None:
    pixels = width * height
    if pixels > max_pixels:
        raise Refused(f"The image has {pixels:,} pixels, and the limit is {max_pixels:,}.")
    if max(width, height) > MAX_SIDE:
        sides = f"{width:,} by {height:,} pixels"
        raise Refused(f"The image has {sides}, and the limit for a side is {MAX_SIDE:,}.")
    if not pixels:
        raise ValueError("no pixels")


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
