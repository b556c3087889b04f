"""GIF, WebP, AVIF and HEIC that claim far more pixels than they have bytes, or show many frames."""

import struct

from PIL import Image

from app.imaging.formats import ImageType
from testkit.format_samples import gif, heif, isobmff, picture, webp
from testkit.format_samples.isobmff import Item

BRANDS = {ImageType.AVIF: b"avif", ImageType.HEIC: b"heic"}
FRAMES = 10_000


def huge_gif(side: int, *, frame: bool = False) -> bytes:
    """Write a GIF whose screen has such sides.

    Args:
        side: In pixels.
        frame: Whether its frame has them too, and is to be cleared after it was shown.
    """
    sides = struct.pack("<HH", side, side)
    content = picture.save(picture.upright(), "GIF", interlace=0)
    content = content[:6] + sides + content[10:]
    if not frame:
        return content
    begin = _first_frame(content)
    clear = b"!\xf9\x04\x08\0\0\0\0"
    return content[:begin] + clear + content[begin : begin + 5] + sides + content[begin + 9 :]


def gif_of_frames() -> bytes:
    """Write a GIF of many frames, all the same."""
    content = picture.save(Image.new("L", (8, 8)), "GIF")
    begin = _first_frame(content)
    return content[:begin] + content[begin:-1] * FRAMES + b";"


def webp_of_frames(side: int = 128) -> bytes:
    """Write a WebP of many frames, all the same, on a canvas of such sides, in pixels."""
    plain = picture.save(picture.upright(), "WEBP")[12:]
    width, height = picture.SIZE
    place = bytes(6) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = webp.chunk(b"ANMF", place + (100).to_bytes(3, "little") + b"\0" + plain)
    loop = webp.chunk(b"ANIM", bytes(6))
    return webp.riff(_canvas(side) + loop + frame * FRAMES)


def claiming(kind: ImageType, width: int, height: int) -> bytes:
    """Write an image that says it had such sides."""
    item = _small(kind)
    _set_extent(item, width, height)
    return isobmff.write(BRANDS[kind], [item])


def denying(kind: ImageType, side: int) -> bytes:
    """Write an image of such sides that says it had 64."""
    whole = Image.new("RGB", (side, side))
    item = isobmff.first_item(heif.ENCODERS[kind](whole))
    _set_extent(item, 64, 64)
    return isobmff.write(BRANDS[kind], [item])


def grid(kind: ImageType, side: int, *, claims: int, across: int = 2, tile: int = 64) -> bytes:
    """Write an image of one tile, over and over, as many across as down.

    Args:
        kind: AVIF or HEIC.
        side: Of the image, in pixels.
        claims: What its header says that is.
        across: How often.
        tile: Side of the tile, in pixels.
    """
    part = isobmff.first_item(heif.ENCODERS[kind](Image.new("RGB", (tile, tile))))
    part.hidden = True
    data = isobmff.grid(across, across, side, side)
    whole = Item(b"grid", data, [isobmff.extent(claims, claims)])
    return isobmff.write(BRANDS[kind], [whole, part], [(b"dimg", 1, [2] * across**2)])


def _small(kind: ImageType) -> Item:
    return isobmff.first_item(heif.ENCODERS[kind](picture.upright()))


def _set_extent(item: Item, width: int, height: int) -> None:
    others = [one for one in item.properties if one[4:8] != b"ispe"]
    item.properties = [isobmff.extent(width, height), *others]


def _first_frame(content: bytes) -> int:
    return content.index(b",", gif.first_block(content))


def _canvas(side: int) -> bytes:
    return webp.chunk(b"VP8X", b"\2\0\0\0" + 2 * (side - 1).to_bytes(3, "little"))
