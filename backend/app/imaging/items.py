"""The items of an AVIF or HEIC file: which one is shown, how large, and where their data end.

Coded, or derived from coded ones, as by a grid of tiles (ISO/IEC 23008-12, section 6). The tables
are parsed once all have come, because they refer to one another and have no fixed order.
"""

from collections.abc import Iterator
from typing import Final

from app.imaging.header import UPRIGHT, Header

MAX_TABLE_BYTES: Final = 128 * 1024
"""Of all tables, which are kept until all have come; those of a photograph have some 3 KB."""
TABLES: Final = (b"hdlr", b"pitm", b"iinf", b"iloc", b"ipma")
PROPERTIES: Final = {b"ispe": 12, b"irot": 1, b"imir": 1, b"clap": 32}
"""Those that say with which size an image is shown, and how many bytes each has."""

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


class Malformed(Exception):
    """The file does not describe an image, or describes it at too great a length."""


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
        header.is_image = True
        self._measure(header, primary)
        return max(self._ends(), default=0)

    def _types(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number and the type of each item (ISO/IEC 14496-12, section 8.11.6)."""
        version, fields = self._open(b"iinf")
        fields.take(4 if version else 2)
        while fields.left:
            entry = fields.part(fields.take(4) - 4)
            if entry.raw(4) == b"infe":
                is_long = entry.take(4) >> 24 == _LONG_ENTRY
                number = entry.take(4 if is_long else 2)
                entry.take(2)
                yield number, entry.raw(4)

    def _measure(self, header: Header, primary: int) -> None:
        """Apply the properties of the primary item in their order (section 8.11.14 there)."""
        orientation = UPRIGHT
        for index in self._associations(primary):
            if not 0 < index <= len(self.properties):
                continue
            kind, content = self.properties[index - 1]
            fields = Fields(content)
            if kind == b"ispe":
                fields.take(4)
                header.size = fields.take(4), fields.take(4)
            elif kind == b"clap" and header.size:
                header.size = _crop(fields, header.size)
            elif kind == b"irot":
                for _ in range(fields.take(1) & 3):
                    orientation = _TURN_LEFT[orientation]
            elif kind == b"imir":
                orientation = _MIRROR[fields.take(1) & 1][orientation]
        header.orientation = orientation

    def _associations(self, primary: int) -> Iterator[int]:
        """Yield the numbers of the properties of an item, from 1."""
        for table in self.tables[b"ipma"]:
            fields = Fields(table)
            version, flags = divmod(fields.take(4), 1 << 24)
            fields.take(4)
            length = 2 if flags & 1 else 1
            while fields.left:
                number = fields.take(4 if version else 2)
                indexes = fields.raw(length * fields.take(1))
                if number == primary:
                    for at in range(0, len(indexes), length):
                        index = int.from_bytes(indexes[at : at + length])
                        yield index & (0x7FFF if flags & 1 else 0x7F)

    def _ends(self) -> Iterator[int]:
        """Yield where in the file each extent of an item ends (section 8.11.3 there)."""
        version, fields = self._open(b"iloc")
        sizes = fields.take(2)
        offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        index_bytes = sizes & 15 if version else 0
        fields.take(4 if version > 1 else 2)
        while fields.left:
            fields.take(4 if version > 1 else 2)
            method = fields.take(2) & 15 if version else 0
            source = fields.take(2)
            base = fields.take(base_bytes)
            extents = fields.part((index_bytes + offset_bytes + length_bytes) * fields.take(2))
            while extents.left:
                extents.take(index_bytes)
                end = base + extents.take(offset_bytes) + extents.take(length_bytes)
                if method == 0 and source == 0:
                    yield end

    def _open(self, kind: bytes) -> tuple[int, "Fields"]:
        """Return the version of a table, and the fields behind it."""
        fields = Fields(self._table(kind))
        return fields.take(4) >> 24, fields

    def _table(self, kind: bytes) -> bytes:
        if not self.tables[kind]:
            raise Malformed
        return self.tables[kind][0]


def _crop(fields: "Fields", size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of the clean aperture, two fractions; the whole one if it has none in it."""
    width, of_width, height, of_height = (fields.take(4) for _ in range(4))
    if not of_width or not of_height or width % of_width or height % of_height:
        return size
    cropped = width // of_width, height // of_height
    return cropped if 0 < cropped[0] <= size[0] and 0 < cropped[1] <= size[1] else size


class Fields:
    """Reads numbers, the most significant byte first.

    Raises:
        Malformed: If there are not as many bytes left.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.left = len(data)

    def raw(self, length: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= length <= self.left:
            raise Malformed
        begin = len(self._data) - self.left
        self.left -= length
        return self._data[begin : begin + length]

    def take(self, length: int) -> int:
        """Return the number in the next bytes."""
        return int.from_bytes(self.raw(length))

    def part(self, length: int) -> "Fields":
        """Return the fields in the next bytes."""
        return Fields(self.raw(length))
