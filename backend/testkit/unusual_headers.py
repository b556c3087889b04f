"""GIF, WebP, AVIF and HEIC files whose headers say in unusual ways how they are shown."""

import struct
from typing import Final

from testkit import samples
from testkit.format_samples import gif, heif, isobmff, picture, webp
from testkit.format_samples.private import box

SCREENS: Final = {
    "no screen": ((0, 0), (0, 0)),
    "no width": ((0, 96), (0, 0)),
    "a small screen": ((30, 20), (0, 0)),
    "a large screen": ((300, 200), (0, 0)),
    "a wide one": ((300, 20), (0, 0)),
    "an image that begins within the screen": ((128, 96), (10, 20)),
    "an image beyond the screen": ((5, 5), (10, 20)),
}
"""The size of a GIF's screen, and where on it its first image begins."""


def gifs() -> dict[str, bytes]:
    """Return a GIF of each of the screens, animated or not."""
    contents = {"GIF": picture.save(picture.upright(), "GIF"), "animated GIF": gif.animated()}
    return {
        f"{name}, {case}": _on_a_screen(content, *SCREENS[case])
        for name, content in contents.items()
        for case in SCREENS
    }


def _on_a_screen(content: bytes, screen: tuple[int, int], place: tuple[int, int]) -> bytes:
    image = content.index(b",\0\0\0\0" + struct.pack("<HH", *picture.SIZE))
    begin = content[:6] + struct.pack("<HH", *screen) + content[10 : image + 1]
    return begin + struct.pack("<HH", *place) + content[image + 5 :]


def webps() -> dict[str, bytes]:
    """Return a WebP of each orientation in Exif."""
    return {
        f"WebP, orientation {number}, {options}": webp.encoded(exif=exif, **options)
        for number in range(1, 9)
        for exif in (samples.exif(number),)
        for options in ({}, {"lossless": True})
    }


def _clap(
    width: tuple[int, int],
    height: tuple[int, int],
    across: tuple[int, int] = (0, 1),
    down: tuple[int, int] = (0, 1),
) -> bytes:
    return box(b"clap", struct.pack(">IIIIiIiI", *width, *height, *across, *down))


_IROT: Final = [box(b"irot", bytes((angle,))) for angle in range(4)]
_IMIR: Final = [box(b"imir", bytes((axis,))) for axis in range(2)]
_CENTRE: Final = _clap((80, 1), (60, 1))
_CORNER: Final = _clap((80, 1), (60, 1), (-24, 1), (-18, 1))
TURNING: Final[dict[str, list[bytes]]] = {
    **{f"irot {angle}": [_IROT[angle]] for angle in range(4)},
    **{f"imir {axis}": [_IMIR[axis]] for axis in range(2)},
    **{f"irot {a} imir {m}": [_IROT[a], _IMIR[m]] for a in range(1, 4) for m in range(2)},
    **{f"imir {m} irot {a}": [_IMIR[m], _IROT[a]] for a in range(1, 4) for m in range(2)},
}
"""Properties that turn an item, in the order of the file."""
CROPPING: Final[dict[str, list[bytes]]] = {
    "its centre": [_CENTRE],
    "its corner": [_CORNER],
    "its centre, then turned": [_CENTRE, _IROT[1]],
    "its corner, then turned": [_CORNER, _IROT[1]],
    "the centre of the turned one": [_IROT[1], _CENTRE],
    "fractions": [_clap((161, 2), (121, 2), (1, 3), (-1, 3))],
    "something beyond its sides": [_clap((80, 1), (60, 1), (-50, 1), (40, 1))],
    "more than it has": [_clap((500, 1), (60, 1))],
}
"""Properties that crop it, too."""
CROPPING_NOTHING: Final = (
    _clap((0, 1), (60, 1)),
    _clap((80, 0), (60, 1)),
    _clap((9, 1), (9, 1), (999, 1)),
)


def avifs() -> dict[str, bytes]:
    """Return an AVIF image of each way to turn and to crop."""
    plain = heif.avif(picture.upright())
    return {
        f"AVIF, {name}": with_properties(plain, *boxes)
        for name, boxes in {**TURNING, **CROPPING}.items()
    }


def with_properties(content: bytes, *boxes: bytes) -> bytes:
    """Add properties to the image of a file that has no other."""
    item = isobmff.first_item(content)
    item.properties += boxes
    return isobmff.write(content[8:12], [item])
