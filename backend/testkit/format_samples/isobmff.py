"""AVIF and HEIC files as items, to be read, changed and written (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from testkit.format_samples.private import box

Reference = tuple[bytes, int, list[int]]
"""Kind, from which item, to which."""

_ESSENTIAL: Final = frozenset({b"hvcC", b"av1C", b"irot", b"imir", b"clap"})
_TURNS: Final = {  # quarter turns against the clock, then a mirror: 0 top-bottom, 1 left-right
    1: (0, None),
    2: (0, 1),
    3: (2, None),
    4: (0, 0),
    5: (1, 0),
    6: (3, None),
    7: (3, 0),
    8: (1, None),
}


@dataclass
class Item:
    """An image, a part of one, or metadata."""

    kind: bytes
    """Such as hvc1, av01, grid or Exif."""
    data: bytes
    properties: list[bytes] = field(default_factory=list)
    """Boxes."""
    hidden: bool = False


def full_box(kind: bytes, data: bytes, version: int = 0, flags: int = 0) -> bytes:
    """Write a box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + data)


def first_item(content: bytes) -> Item:
    """Read the image of a file that an encoder wrote with a single item, as a part of others."""
    [meta] = _children(content, b"meta")
    [location] = _children(meta[4:], b"iloc")
    has_base = location[5] >> 4
    base = int.from_bytes(location[-14:-10]) if has_base else 0
    offset, length = struct.unpack(">II", location[-8:])
    [iprp] = _children(meta[4:], b"iprp")
    [ipco] = _children(iprp, b"ipco")
    [iinf] = _children(meta[4:], b"iinf")
    [infe] = _children(iinf[6:], b"infe")
    properties = [box(kind, data) for kind, data in _boxes(ipco)]
    return Item(infe[8:12], content[base + offset : base + offset + length], properties)


def turning(orientation: int) -> list[bytes]:
    """Write the properties that turn an image as an orientation of Exif does."""
    angle, axis = _TURNS[orientation]
    turn = [box(b"irot", bytes((angle,)))] if angle else []
    return turn if axis is None else [*turn, box(b"imir", bytes((axis,)))]


def extent(width: int, height: int) -> bytes:
    """Write the property of an image's size in pixels."""
    return full_box(b"ispe", struct.pack(">II", width, height))


def grid(rows: int, columns: int, width: int, height: int) -> bytes:
    """Write the data of an image that is put together of tiles."""
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)


def write(
    brand: bytes, items: list[Item], references: list[Reference] | None = None, primary: int = 1
) -> bytes:
    """Write a file of items, which are numbered from 1."""
    brands = b"mif1miaf" + brand
    head = box(b"ftyp", brand + bytes(4) + brands)
    begin = len(head) + len(_meta(items, references or [], primary, 0)) + 8
    meta = _meta(items, references or [], primary, begin)
    return head + meta + box(b"mdat", b"".join(item.data for item in items))


def _meta(items: list[Item], references: list[Reference], primary: int, begin: int) -> bytes:
    handler = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    places = b"\x44\0" + struct.pack(">H", len(items))
    infos = struct.pack(">H", len(items))
    for number, item in enumerate(items, 1):
        places += struct.pack(">HHHII", number, 0, 1, begin, len(item.data))
        begin += len(item.data)
        mime = b"application/rdf+xml\0" if item.kind == b"mime" else b""
        info = struct.pack(">HH", number, 0) + item.kind + b"\0" + mime
        infos += full_box(b"infe", info, version=2, flags=int(item.hidden))
    links = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", origin, len(to), *to))
        for kind, origin, to in references
    )
    return full_box(
        b"meta",
        handler
        + full_box(b"pitm", struct.pack(">H", primary))
        + full_box(b"iloc", places)
        + full_box(b"iinf", infos)
        + (full_box(b"iref", links) if links else b"")
        + _properties(items),
    )


def _properties(items: list[Item]) -> bytes:
    shared = list(dict.fromkeys(one for item in items for one in item.properties))
    associations = struct.pack(">I", len([item for item in items if item.properties]))
    for number, item in enumerate(items, 1):
        if item.properties:
            associations += struct.pack(">HB", number, len(item.properties))
            for one in item.properties:
                associations += bytes((shared.index(one) + 1 | 0x80 * (one[4:8] in _ESSENTIAL),))
    return box(b"iprp", box(b"ipco", b"".join(shared)) + full_box(b"ipma", associations))


def _children(data: bytes, kind: bytes) -> list[bytes]:
    return [content for found, content in _boxes(data) if found == kind]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        length = int.from_bytes(data[:4])
        yield data[4:8], data[8:length]
        data = data[length:]
