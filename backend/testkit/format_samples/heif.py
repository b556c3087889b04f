"""AVIF and HEIC: stills, collections of them, and sequences."""

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

import pillow_heif
import pyvips  # type: ignore[import-untyped]
from PIL import Image

from app.imaging.formats import ImageType
from testkit.format_samples import isobmff, picture, private, profile
from testkit.format_samples.isobmff import Item
from testkit.format_samples.sample import Sample

DEPTH: Final = {
    ImageType.AVIF: b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth\0",
    ImageType.HEIC: b"urn:mpeg:hevc:2015:auxid:2\0",
}
_BRANDS: Final = {ImageType.AVIF: b"avif", ImageType.HEIC: b"heic"}
_TILE: Final = 64
_PADDED: Final = (50, 30)
"""Less than HEVC has: its encoder adds pixels, and says how to crop them."""

Encoder = Callable[..., bytes]


def avif(image: Image.Image, **options: object) -> bytes:
    """Encode an image as AVIF."""
    return picture.save(image, "AVIF", quality=80, **options)


def heic(image: Image.Image, *others: Image.Image, **options: object) -> bytes:
    """Encode images as HEIC: the first is the primary one."""
    file = pillow_heif.from_pillow(image)
    for other in others:
        file.add_from_pillow(other)
    buffer = BytesIO()
    file.save(buffer, quality=80, primary_index=0, **options)
    return buffer.getvalue()


def all_samples() -> Iterator[Sample]:
    """Make all files of both types."""
    for kind, encode in ENCODERS.items():
        yield from _of_both(kind, encode)
    first, others = picture.frames()
    animated = avif(first, save_all=True, append_images=others, duration=100)
    yield Sample(ImageType.AVIF, "animation", animated, "sequence")
    motion_photo = with_metadata(ImageType.HEIC) + private.box(b"mpvd", private.film())
    yield Sample(ImageType.HEIC, "motion photo", motion_photo)
    yield Sample(ImageType.HEIC, "burst", heic(first, *others))
    yield Sample(ImageType.HEIC, "grid", heic(first, tile_size=_TILE), "by its encoder")
    for bits in (10, 12):
        yield Sample(ImageType.AVIF, "deep colours", _deep_avif(bits), f"{bits} bit")
        yield Sample(ImageType.HEIC, "deep colours", _deep_heic(bits), f"{bits} bit")


def _of_both(kind: ImageType, encode: Encoder) -> Iterator[Sample]:
    plain = encode(picture.upright())
    yield Sample(kind, "plain", plain)
    for number in range(1, 9):
        yield Sample(kind, "orientation", _turned(kind, encode, number), str(number))
    yield Sample(kind, "orientation", _exif_alone(kind, encode), "in Exif alone")
    stored = profile.stored()
    stored.info["icc_profile"] = profile.exchanging()
    yield Sample(kind, "colour profile", encode(stored))
    yield Sample(kind, "alpha", encode(picture.with_alpha()))
    yield Sample(kind, "truncated", plain[: len(plain) * 7 // 10])
    yield Sample(kind, "wrong extension", plain, extension=".jpg")
    yield Sample(kind, "appended data", plain + private.SECRET)
    yield Sample(kind, "metadata", with_metadata(kind))
    yield Sample(kind, "depth map", _with_depth(kind, encode))
    yield Sample(kind, "thumbnail", _with_thumbnail(kind, encode))
    yield Sample(kind, "grid", grid(kind), "of tiles")
    padded = encode(picture.upright().crop((0, 0, *_PADDED)))
    yield Sample(kind, "small", padded, size=_PADDED)


def with_metadata(kind: ImageType) -> bytes:
    """Make a file with Exif and XMP."""
    main = isobmff.first_item(ENCODERS[kind](picture.upright()))
    exif = Item(b"Exif", bytes(4) + private.exif().removeprefix(b"Exif\0\0"), hidden=True)
    xmp = Item(b"mime", private.xmp(), hidden=True)
    links = [(b"cdsc", 2, [1]), (b"cdsc", 3, [1])]
    return isobmff.write(_BRANDS[kind], [main, exif, xmp], links)


def grid(kind: ImageType) -> bytes:
    """Make an image of 2 by 2 tiles, as phones do, of which the last ones are cropped."""
    width, height = picture.SIZE
    whole = Image.new("RGB", (2 * _TILE, 2 * _TILE))
    whole.paste(picture.upright())
    corners = [(x, y) for y in (0, _TILE) for x in (0, _TILE)]
    tiles = [
        isobmff.first_item(ENCODERS[kind](whole.crop((x, y, x + _TILE, y + _TILE))))
        for x, y in corners
    ]
    for tile in tiles:
        tile.hidden = True
    main = Item(b"grid", isobmff.grid(2, 2, width, height), [isobmff.extent(width, height)])
    return isobmff.write(_BRANDS[kind], [main, *tiles], [(b"dimg", 1, [2, 3, 4, 5])])


def _turned(kind: ImageType, encode: Encoder, orientation: int) -> bytes:
    item = isobmff.first_item(encode(picture.turned(orientation)))
    item.properties += isobmff.turning(orientation)
    return isobmff.write(_BRANDS[kind], [item])


def _exif_alone(kind: ImageType, encode: Encoder) -> bytes:
    """Make a file whose Exif would turn it, which viewers ignore."""
    main = isobmff.first_item(encode(picture.upright()))
    exif = Item(b"Exif", bytes(4) + private.exif(6).removeprefix(b"Exif\0\0"), hidden=True)
    return isobmff.write(_BRANDS[kind], [main, exif], [(b"cdsc", 2, [1])])


def _with_depth(kind: ImageType, encode: Encoder) -> bytes:
    main = isobmff.first_item(encode(picture.upright()))
    depth = isobmff.first_item(encode(Image.linear_gradient("L").resize((64, 64))))
    depth.properties.append(isobmff.full_box(b"auxC", DEPTH[kind]))
    depth.hidden = True
    return isobmff.write(_BRANDS[kind], [main, depth], [(b"auxl", 2, [1])])


def _with_thumbnail(kind: ImageType, encode: Encoder) -> bytes:
    """Make a file with a thumbnail of other colours, and of other sides than the image's."""
    main = isobmff.first_item(encode(picture.upright()))
    small = isobmff.first_item(encode(picture.turned(3).resize((64, 64))))
    return isobmff.write(_BRANDS[kind], [main, small], [(b"thmb", 2, [1])])


def _deep_avif(bits: int) -> bytes:
    width, height = picture.SIZE
    pixels = picture.upright().tobytes()
    image = pyvips.Image.new_from_memory(pixels, width, height, 3, "uchar")
    deep = (image * 257).cast("ushort").copy(interpretation="rgb16")
    return bytes(deep.write_to_buffer(".avif", bitdepth=bits, Q=80))


def _deep_heic(bits: int) -> bytes:
    pixels = bytes(part for part in picture.upright().tobytes() for _ in range(2))
    file = pillow_heif.from_bytes("RGB;16", picture.SIZE, pixels)
    buffer = BytesIO()
    before = pillow_heif.options.SAVE_HDR_TO_12_BIT
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        file.save(buffer, quality=80)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = before
    return buffer.getvalue()


ENCODERS: Final[dict[ImageType, Encoder]] = {ImageType.AVIF: avif, ImageType.HEIC: heic}
