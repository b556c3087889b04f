"""Iterating over the parts of an image's file as its bytes pass by, in pieces of any size.

A walk knows only how long each part is and keeps what is wanted, so that its memory and its time
are bounded whatever a client sends.
"""

from collections.abc import Generator
from typing import Final, Generic, TypeVar

MAX_STEPS: Final = 4096
"""Of a walk; a part of the file takes up to five, Exif nine, a byte between the parts one."""

_Result = TypeVar("_Result")

Walk = Generator[int, bytes, _Result]
"""Asks for so many bytes, or to skip so many (a negative number)."""


class Walker(Generic[_Result]):
    """Sends a walk the bytes that it asks for."""

    def __init__(self, walk: Walk[_Result]) -> None:
        self._walk = walk
        self._wanted = next(walk)
        self._buffer = bytearray()
        self._steps_left = MAX_STEPS
        self.result: _Result | None = None
        """What the walk returned; None if it has not ended."""
        self.complete = False
        """Whether the walk has ended, or was ended for its many steps."""

    def feed(self, data: memoryview) -> memoryview:
        """Take the next bytes; return those that follow the end of the walk."""
        while not self.complete:
            if self._wanted < 0:
                taken = min(-self._wanted, len(data))
                self._wanted += taken
            else:
                taken = min(self._wanted - len(self._buffer), len(data))
                self._buffer += data[:taken]
            data = data[taken:]
            if self._wanted != len(self._buffer):
                break
            self._step()
        return data

    def _step(self) -> None:
        self._steps_left -= 1
        try:
            self._wanted = self._walk.send(bytes(self._buffer))
        except StopIteration as end:
            self.result = end.value
            self.complete = True
        self._buffer.clear()
        if not self._steps_left:
            self.complete = True
