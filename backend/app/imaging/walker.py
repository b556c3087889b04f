"""Iterating over the parts of an image's file as its bytes pass by, in pieces of any size.

A walk knows only how long each part is and keeps what is wanted, so that its memory and its time
are bounded whatever a client sends. What it skips costs nothing.
"""

from collections.abc import Generator
from typing import Final, Generic, NamedTuple, TypeVar

MAX_STEPS: Final = 8192
"""Of a walk; a part of the file takes up to five, Exif nine, a byte between the parts one."""
MAX_SUB_BLOCKS: Final = 1 << 18
"""Of a walk: as many as 67 MB of full ones."""

_Result = TypeVar("_Result")


class SubBlocks(NamedTuple):
    """Skips so many bytes, and sub-blocks, each after its length, to the one that is empty."""

    after: int


Walk = Generator[int | SubBlocks, bytes, _Result]
"""Asks for so many bytes; or to skip so many (a negative number), or sub-blocks, for which it is
sent the byte that follows."""


class Walker(Generic[_Result]):
    """Sends a walk the bytes that it asks for."""

    def __init__(self, walk: Walk[_Result]) -> None:
        self._walk = walk
        self._buffer = bytearray()
        self._wanted = 0
        self._in_sub_blocks = False
        self._steps_left = MAX_STEPS
        self._sub_blocks_left = MAX_SUB_BLOCKS
        self.result: _Result | None = None
        """What the walk returned; None if it has not ended."""
        self.complete = False
        """Whether the walk has ended, or was ended for its many steps."""
        self._ask_for(next(walk))

    def feed(self, data: memoryview) -> memoryview:
        """Take the next bytes; return those that follow the end of the walk."""
        while not self.complete:
            if self._wanted < 0:
                taken = min(-self._wanted, len(data))
                self._wanted += taken
            elif self._in_sub_blocks:
                taken = self._skip_sub_blocks(data)
            else:
                taken = min(self._wanted - len(self._buffer), len(data))
                self._buffer += data[:taken]
            data = data[taken:]
            if self._wanted == len(self._buffer) and not self._in_sub_blocks:
                self._step()
            elif not data:
                break
        return data

    def _step(self) -> None:
        self._steps_left -= 1
        try:
            self._ask_for(self._walk.send(bytes(self._buffer)))
        except StopIteration as end:
            self.result = end.value
            self.complete = True
        self._buffer.clear()
        if not self._steps_left:
            self.complete = True

    def _ask_for(self, wanted: int | SubBlocks) -> None:
        self._in_sub_blocks = isinstance(wanted, SubBlocks)
        self._wanted = -wanted.after if isinstance(wanted, SubBlocks) else wanted

    def _skip_sub_blocks(self, data: memoryview) -> int:
        """Return how many bytes they take; what they lack is skipped in the next piece."""
        place, end = 0, len(data)
        left = self._sub_blocks_left
        while place < end and left:
            length = data[place]
            place += length + 1
            left -= 1
            if not length:
                self._in_sub_blocks = False
                break
        self._sub_blocks_left = left
        self.complete = not left
        self._wanted = 0 if self._in_sub_blocks else 1
        if place > end:
            self._wanted = end - place
        return min(place, end)
