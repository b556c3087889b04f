"""The items of an AVIF or HEIC file: which one is shown, how large, and where their data end.

Coded, or derived from coded ones, as by a grid of tiles (ISO/IEC 23008-12, section 6). The tables
are parsed once all have come, because they refer to one another and have no fixed order.
"""

import struct
from collections.abc import Iterator
from typing import Final

from app.imaging.fields import Fields, Malformed
from app.imaging.header import UPRIGHT, Header

MAX_TABLE_BYTES: Final = 128 * 1024
"""Of all tables, which are kept until all have come; those of a photograph have some 3 KB."""
TABLES: Final = (b"hdlr", b"pitm", b"iinf", b"iloc", b"ipma")
PROPERTIES: Final = {b"ispe": 12, b"clap": 32, b"irot": 1, b"imir": 1}
"""Those that say with which size an image is shown, in order, and how many bytes each has."""

AV1: Final = b"av01"
HEVC: Final = b"hvc1"
_SIZES: Final = {0: "", 4: "I", 8: "Q"}
"""The bytes that an offset or a length may have (ISO/IEC 14496-12, section 8.11.3)."""
_MAX_ASSOCIATIONS: Final = 4
"""Tables of which items have which properties: one of each version and flags (section 8.11.14)."""
_LONG_ENTRY: Final = 3
"""Version of an entry whose number has 32 bits."""
_DERIVED: Final = frozenset({b"grid", b"iden", b"iovl", b"tmap"})
_TURN_LEFT: Final = {1: 8, 8: 3, 3: 6, 6: 1, 2: 5, 5: 4, 4: 7, 7: 2}
"""What becomes of an orientation, as Exif numbers it, by 90 degrees anti-clockwise."""
_MIRROR: Final = (
    {1: 4, 4: 1, 2: 3, 3: 2, 5: 8, 8: 5, 6: 7, 7: 6},
    {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7},
)
"""And by exchanging top and bottom, or left and right (section 6.5.12)."""


class Items:
    """What `meta` says about items, as far as it has come."""

    def __init__(self) -> None:
        self.tables: dict[bytes, list[bytes]] = {kind: [] for kind in TABLES}
        self.properties: list[tuple[bytes, bytes]] = []
        """The type and the beginning of each; the others refer to them by their number."""
        self.bytes_left = MAX_TABLE_BYTES
        """How much more may be kept."""

    @property
    def complete(self) -> bool:
        """Whether every table has come."""
        return all(self.tables.values())

    def describe(self, header: Header, codec: bytes) -> int:
        """Fill in the header; return where in the file the data of the last item end.

        Raises:
            Malformed: If there is no primary item that is an image of this codec.
        """
        version, fields = self._open(b"pitm")
        primary = fields.take(4 if version else 2)
        types = dict(self._types())
        kind = types.get(primary)
        is_coded = kind == codec or (kind in _DERIVED and codec in types.values())
        if self._table(b"hdlr")[8:12] != b"pict" or not is_coded:
            raise Malformed
        end = max(self._ends(), default=0)
        self._measure(header, primary, codec)
        header.is_image = True
        return end

    def _types(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the type of each item (ISO/IEC 14496-12, section 8.11.6)."""
        version, fields = self._open(b"iinf")
        for _ in range(fields.count(4 if version else 2)):
            entry = fields.part(fields.take(4) - 4)
            if entry.raw(4) == b"infe":
                is_long = entry.take(4) >> 24 == _LONG_ENTRY
                number = entry.take(4 if is_long else 2)
                entry.take(2)
                yield number, entry.raw(4)

    def _measure(self, header: Header, primary: int, codec: bytes) -> None:
        """Apply the properties of the primary item (section 8.11.14 there).

        In their order, as libheif does; of AVIF in the order that the format wants
        (ISO/IEC 23000-22, section 7.3.6.7), whatever theirs is, as libavif and Chromium do.
        """
        indexes = self._associations(primary)
        found = [self.properties[at - 1] for at in indexes if 0 < at <= len(self.properties)]
        found = [each for each in found if len(each[1]) == PROPERTIES.get(each[0])]
        if codec == AV1:
            found.sort(key=lambda each: list(PROPERTIES).index(each[0]))
        width = height = 0
        orientation = UPRIGHT
        for kind, content in found:
            if kind == b"ispe":
                width, height = struct.unpack(">4xII", content)
            elif kind == b"clap":
                width, height = _crop(width, height, content, anywhere=codec != AV1)
            elif kind == b"irot":
                for _ in range(content[0] & 3):
                    orientation = _TURN_LEFT[orientation]
                    width, height = height, width
            elif kind == b"imir":
                orientation = _MIRROR[content[0] & 1][orientation]
        header.orientation = orientation
        header.size = (height, width) if header.is_turned else (width, height)

    def _associations(self, primary: int) -> list[int]:
        """Return the numbers of the properties of an item, from 1."""
        for table in self.tables[b"ipma"][:_MAX_ASSOCIATIONS]:
            fields = Fields(table)
            version, flags = divmod(fields.take(4), 1 << 24)
            length = 2 if flags & 1 else 1
            for _ in range(fields.count(4)):
                number = fields.take(4 if version else 2)
                indexes = fields.part(length * fields.take(1))
                if number == primary:
                    mask = (0x80 << 8 * (length - 1)) - 1  # without the bit for "essential"
                    return [indexes.take(length) & mask for _ in range(indexes.left // length)]
        return []

    def _ends(self) -> Iterator[int]:
        """Yield where in the file the last extent of each item ends (section 8.11.3 there)."""
        version, fields = self._open(b"iloc")
        sizes = fields.take(2)
        base_bytes, index_bytes = sizes >> 4 & 15, sizes & 15 if version else 0
        try:
            extent = struct.Struct(f">{index_bytes}x{_SIZES[sizes >> 12]}{_SIZES[sizes >> 8 & 15]}")
        except KeyError:
            raise Malformed from None
        for _ in range(fields.count(4 if version > 1 else 2)):
            fields.take(4 if version > 1 else 2)
            method = fields.take(2) & 15 if version else 0
            source = fields.take(2)
            base = fields.take(base_bytes)
            extents = fields.raw(extent.size * fields.take(2))
            if extents and method == 0 and source == 0:
                yield base + max(map(sum, extent.iter_unpack(extents)))

    def _open(self, kind: bytes) -> tuple[int, Fields]:
        """Return the version of a table, and the fields behind it."""
        fields = Fields(self._table(kind))
        return fields.take(4) >> 24, fields

    def _table(self, kind: bytes) -> bytes:
        if not self.tables[kind]:
            raise Malformed
        return self.tables[kind][0]


def _crop(width: int, height: int, content: bytes, *, anywhere: bool) -> tuple[int, int]:
    """Return the size of the clean aperture (ISO/IEC 14496-12, section 12.1.4).

    Args:
        width: Of what is cropped, in pixels, as `height`.
        height: See `width`.
        content: Width, height and offset of its centre from that of what is cropped: fractions.
        anywhere: Crop where it does not begin in the top left corner, too, as libheif does.
            Chromium shows the whole of such an AVIF image.
    """
    values = struct.unpack(">IIIIiIiI", content)
    if not all(values[:4]) or not all(values[5::2]):
        return width, height
    left, cropped_width = _span(width, *values[0:2], *values[4:6])
    top, cropped_height = _span(height, *values[2:4], *values[6:8])
    if min(cropped_width, cropped_height) < 1 or not (anywhere or left == top == 0):
        return width, height
    return cropped_width, cropped_height


def _span(whole: int, length: int, of_length: int, offset: int, of_offset: int) -> tuple[int, int]:
    """Return the first pixel and the number of pixels of a side, rounded as libheif does."""
    doubled = whole * of_length * of_offset + 2 * offset * of_length - length * of_offset
    begin = doubled // (2 * of_length * of_offset)
    end = begin + (2 * length + of_length) // (2 * of_length)
    return begin, min(end, whole) - max(begin, 0)
