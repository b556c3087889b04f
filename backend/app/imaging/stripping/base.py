"""Passing on some parts of an image's file and not others, as its bytes come in pieces of any size.

A strip goes over the parts of a file as a walk does (`app/imaging/walker.py`), and also says what
becomes of each: nothing is passed on that it does not name.
"""

import re
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

MAX_STEPS: Final = 4096
"""Of a strip; a part of the file takes one to five."""
BYTES_A_STEP: Final = 32
"""A file may have one step more for each so many bytes that were gone over: parts of real files
are larger, and those of files made to take long smaller."""


class Unstrippable(Exception):
    """A file whose parts cannot be followed; its message says why, in one sentence."""


class Stripper(Protocol):
    """Takes a file, and returns what to store of it, in bounded memory and time."""

    def feed(self, data: bytes | bytearray) -> bytes:
        """Take the next bytes; return those to pass on.

        Raises:
            Unstrippable: If the file cannot be followed. What was passed on is of no use.
        """

    def finish(self) -> bytes:
        """Return what is left to pass on at the file's end.

        A file that ends within its pixels is passed on as far as it came.

        Raises:
            Unstrippable: If its pixels have not begun.
        """


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

Strip = Generator[int | Keep | KeepSubBlocks | Until, bytes, None]
"""Asks for so many bytes, to drop so many (a negative number), or for one of the above.

What it is sent is not passed on. It ends where all that follows is dropped. Where the file ends
before, EOFError is raised in it; it raises Unstrippable if the pixels have not begun.
"""


class PartStripper:
    """Does what a strip asks for.

    Args:
        strip: Begins a strip.
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
        """Take the next bytes; return those to pass on (see `Stripper`)."""
        rest = memoryview(data)
        while rest and not self._ended:
            before = len(rest)
            rest = self._advance(rest)
            self._position += before - len(rest)
        kept = b"".join(self._kept)
        self._kept.clear()
        return kept

    def finish(self) -> bytes:
        """Return what is left to pass on at the file's end (see `Stripper`)."""
        with suppress(EOFError, StopIteration):
            self._strip.throw(EOFError())
        is_within_kept = isinstance(self._request, Until) and self._request.keeps
        return bytes(self._taken) if is_within_kept else b""

    def _advance(self, data: memoryview) -> memoryview:
        """Go on with a request; return the bytes that are left."""
        request = self._request
        if isinstance(request, Until):
            return self._search(request, data)
        if isinstance(request, KeepSubBlocks):
            return self._keep_sub_blocks(request, data)
        if isinstance(request, Keep):
            part, data = data[: request.count], data[request.count :]
            self._kept.append(part)
            request.count -= len(part)
            is_done = not request.count
        elif request < 0:
            dropped = min(-request, len(data))
            data = data[dropped:]
            self._request = request + dropped
            is_done = not self._request
        else:
            part = data[: request - len(self._taken)]
            self._taken += part
            data = data[len(part) :]
            is_done = len(self._taken) == request
        if is_done:
            answer = bytes(self._taken)
            self._taken.clear()
            self._step(answer)
        return data

    def _search(self, until: Until, data: memoryview) -> memoryview:
        """Look for two bytes, the first of which may be the last one of the previous piece."""
        if self._taken:
            data = memoryview(bytes(self._taken) + data)
            self._taken.clear()
        found = until.pattern.search(data)
        end = found.start() if found else len(data) - 1
        if until.keeps:
            self._kept.append(data[:end])
        if found:
            self._step(found.group())
            return data[end + 2 :]
        self._taken += data[end:]
        return data[:0]

    def _keep_sub_blocks(self, request: KeepSubBlocks, data: memoryview) -> memoryview:
        place, end = request.after, len(data)
        while place < end:
            length = data[place]
            place += length + 1
            if not length:
                self._kept.append(data[:place])
                self._step(b"")
                return data[place:]
        self._kept.append(data)
        request.after = place - end
        return data[:0]

    def _step(self, answer: bytes) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS + self._position // BYTES_A_STEP:
            raise Unstrippable("It consists of too many parts.")
        try:
            self._request = self._strip.send(answer)
        except StopIteration:
            self._ended = True
