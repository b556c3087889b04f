"""The fields of a table of AVIF or HEIC, read one after the other."""

from typing import Final

MAX_ITEMS: Final = 4096
"""Most that a table may describe."""


class Malformed(Exception):
    """The file does not describe an image, or describes it at too great a length."""


class Fields:
    """Reads numbers, the most significant byte first.

    Raises:
        Malformed: If there are not as many bytes left, or too many entries.
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
        """Return the next bytes as a number."""
        begin = len(self._data) - self.left
        self.left -= length
        if self.left < 0:
            raise Malformed
        return int.from_bytes(self._data[begin : begin + length])

    def count(self, length: int) -> int:
        """Return the next bytes as the number of entries that follow, at most `MAX_ITEMS`."""
        count = self.take(length)
        if count > MAX_ITEMS:
            raise Malformed
        return count

    def part(self, length: int) -> "Fields":
        """Return the fields in the next bytes."""
        return Fields(self.raw(length))
