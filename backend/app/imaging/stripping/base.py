"""Passing on some parts of an image's file and not others, as its bytes come in pieces of any size.

A strip iterates over the parts of a file as a walk does (`app/imaging/walker.py`), and also says
what becomes of each: nothing is passed on that it does not name.
"""

import re
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

MAX_STEPS: Final = 4096
"""Of a strip; a part of the file takes one to five."""
BYTES_A_STEP: Final = 16
"""A file may have one step more for each so many of its bytes: parts of real files are larger, and
those of files made to take long smaller."""


class Unstrippable(Exception):
    """A file whose parts cannot be followed; its message says why, in one sentence."""


@dataclass(slots=True)
class Keep:
    """Asks to pass on so many bytes."""

    count: int


@dataclass(slots=True)
class KeepSubBlocks:
    """Asks to pass on so many bytes, and sub-blocks, each after its length, to the empty one."""

    after: int


@dataclass(slots=True, frozen=True)
class Until:
    """Asks for the next two bytes that a pattern matches, and what to do with those before them."""

    pattern: re.Pattern[bytes]
    keeps: bool


Kept = list[bytes | memoryview]
"""What is passed on, in this order; a strip appends what it writes itself."""

Request = int | Keep | KeepSubBlocks | Until
"""So many bytes, to drop so many (a negative number), or one of the above."""
Strip = Generator[Request, bytes, None]
"""Makes requests; what it is sent is not passed on. It ends where all that follows is dropped.

Where the file ends before, EOFError is raised in it, and it raises Unstrippable if the pixels have
not begun.
"""


class Stripper:
    """Takes a file, and returns what to store of it, in bounded memory and time.

    Args:
        strip: Says what becomes of the parts of files of this type.
    """

    def __init__(self, strip: Callable[[Kept], Strip]) -> None:
        self._kept: Kept = []
        self._strip = strip(self._kept)
        self._request = next(self._strip)
        self._taken = bytearray()
        self._position = 0
        self._steps = 0
        self._ended = False

    def feed(self, data: bytes | bytearray) -> bytes:
        """Take the next bytes; return those to pass on.

        Raises:
            Unstrippable: If the file cannot be followed. What was passed on is of no use.
        """
        rest = memoryview(data)
        while rest and not self._ended:
            count, answer = self._advance(self._request, rest)
            self._position += count
            rest = rest[count:]
            if answer is not None:
                self._step(answer)
        kept = b"".join(self._kept)
        self._kept.clear()
        return kept

    def finish(self) -> bytes:
        """Return what is left to pass on at the file's end.

        A file that ends within its pixels is passed on as far as it came.

        Raises:
            Unstrippable: If its pixels have not begun.
        """
        with suppress(EOFError, StopIteration):
            self._strip.throw(EOFError())
        is_kept = isinstance(self._request, Until) and self._request.keeps
        return bytes(self._taken) if is_kept else b""

    def _advance(self, request: Request, data: memoryview) -> tuple[int, bytes | None]:
        """Go on with a request; return how many bytes that took, and the answer if it is done."""
        if isinstance(request, Until):
            return self._search(request, data)
        if isinstance(request, KeepSubBlocks):
            return self._keep_sub_blocks(request, data)
        if isinstance(request, Keep):
            count = min(request.count, len(data))
            self._kept.append(data[:count])
            request.count -= count
            return count, None if request.count else b""
        if request < 0:
            count = min(-request, len(data))
            self._request = request + count
            return count, None if self._request else b""
        count = min(request - len(self._taken), len(data))
        self._taken += data[:count]
        return count, self._take() if len(self._taken) == request else None

    def _search(self, until: Until, data: memoryview) -> tuple[int, bytes | None]:
        """Look for two bytes, the first of which may be the last one of the previous piece."""
        held = self._take()
        searched = memoryview(held + data) if held else data
        found = until.pattern.search(searched)
        end = found.start() if found else len(searched) - 1
        if until.keeps:
            self._kept.append(searched[:end])
        if found:
            return found.end() - len(held), found.group()
        self._taken += searched[end:]
        return len(data), None

    def _keep_sub_blocks(
        self, request: KeepSubBlocks, data: memoryview
    ) -> tuple[int, bytes | None]:
        place, end = request.after, len(data)
        while place < end:
            length = data[place]
            place += length + 1
            if not length:
                self._kept.append(data[:place])
                return place, b""
        self._kept.append(data)
        request.after = place - end
        return end, None

    def _take(self) -> bytes:
        taken = bytes(self._taken)
        self._taken.clear()
        return taken

    def _step(self, answer: bytes) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS + self._position // BYTES_A_STEP:
            raise Unstrippable("It consists of too many parts.")
        try:
            self._request = self._strip.send(answer)
        except StopIteration:
            self._ended = True
