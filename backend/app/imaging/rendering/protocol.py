"""The messages between a process that renders and its parent."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.domain.thumbnails import MAX_RENDER_ERROR

MAX_NUMBER: Final = 16 * 1024 * 1024
"""More bytes than a thumbnail has, and more pixels than a side. A larger one is rejected."""
MAX_PLACEHOLDER: Final = 64
"""Bytes; a ThumbHash has at most 25."""


class RenderLimits(NamedTuple):
    """What rendering one image may take; the first arguments of the program."""

    memory_mb: int
    """MiB of address space."""
    seconds: int
    """Of processor time."""
    max_pixels: int
    """Of the original."""


class Answer(NamedTuple):
    """A line of JSON, followed by the bytes of the thumbnails in the order of their sizes."""

    width: int = 0
    height: int = 0
    """Pixels of the original, as a viewer shows it."""
    lengths: Sequence[int] = ()
    """Bytes of each thumbnail."""
    placeholder: str = ""
    """ThumbHash, in hexadecimal digits."""
    unrenderable: str = ""
    """Why the image cannot be rendered, in one sentence; then there is nothing else."""
    detail: str = ""
    """What the library says about that."""


class Unrenderable(Exception):
    """The image cannot be rendered.

    Args:
        sentence: Why.
        detail: What the library says about that.
    """

    def __init__(self, sentence: str, detail: str) -> None:
        super().__init__(sentence)
        self.detail = detail


class TakesTooLong(Unrenderable):
    """The image takes too much processor time, which it would in any process."""


class RenderingFailed(Exception):
    """The process that rendered has crashed, was killed or has not answered in time.

    Args:
        sentence: Which of these; the reason to record, whatever the exception that showed it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = sentence


def parse(line: bytes, sizes: Sequence[int]) -> Answer:
    """Return the answer in a line, which is not trusted: what wrote it has decoded the image.

    Raises:
        Unrenderable: If the answer is that.
        RenderingFailed: If it is invalid.
    """
    try:
        answer = Answer(*json.loads(line))
        if answer.unrenderable:
            raise Unrenderable(_plain(answer.unrenderable), _plain(answer.detail))
        numbers = (answer.width, answer.height, *answer.lengths)
        if len(answer.lengths) != len(sizes) or not all(map(_is_possible, numbers)):
            raise ValueError("numbers that cannot be")
        if len(bytes.fromhex(answer.placeholder)) > MAX_PLACEHOLDER:
            raise ValueError("more than a placeholder")
    except (ValueError, TypeError, RecursionError) as error:
        raise RenderingFailed("The answer of the process that renders is invalid.") from error
    return answer


def _is_possible(number: object) -> bool:
    return isinstance(number, int) and 0 < number <= MAX_NUMBER


def _plain(words: str) -> str:
    return "".join(filter(str.isprintable, words))[:MAX_RENDER_ERROR]
