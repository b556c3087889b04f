"""A colour profile that exchanges red and green, so that it is seen whether viewers follow it."""

import struct
from typing import Final

from PIL import Image

from testkit.format_samples.picture import upright

_PRIMARIES: Final = {  # of sRGB for the white of D50; the names of the first two are exchanged
    b"gXYZ": (0.4360, 0.2225, 0.0139),
    b"rXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
    b"wtpt": (0.9642, 1.0, 0.8249),
}
_GAMMA: Final = 2.2


def exchanging() -> bytes:
    """Write the profile (ICC.1:2022, of version 2.1, a matrix and curves)."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(_GAMMA * 256)) + bytes(2)
    name = b"red is green\0"
    description = b"desc" + struct.pack(">II", 0, len(name)) + name + bytes(78)
    tags = {kind: b"XYZ " + bytes(4) + _numbers(place) for kind, place in _PRIMARIES.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags |= {b"desc": description, b"cprt": b"text\0\0\0\0public domain\0"}
    table, data = struct.pack(">I", len(tags)), b""
    begin = 128 + 4 + 12 * len(tags)
    for kind, content in tags.items():
        table += kind + struct.pack(">II", begin + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = begin + len(data)
    head = struct.pack(">I4xI4s4s4s12x4s", size, 0x02100000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    head += bytes(28) + _numbers(_PRIMARIES[b"wtpt"])
    return head.ljust(128, b"\0") + table + data


def stored() -> Image.Image:
    """Return the picture as it is stored with the profile, to be shown as the others."""
    red, green, blue = upright().split()
    return Image.merge("RGB", (green, red, blue))


def _numbers(numbers: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)
