"""The messages between a process that renders and its parent."""

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.domain.metadata import Metadata, clean
from app.domain.thumbnails import MAX_RENDER_ERROR

LACKS_MEMORY: Final = "Rendering the image needs more memory than RENDER_MEMORY_MB allows."
RENDER: Final = b"r"
EXTRACT: Final = b"m"
"""What is asked of the process, with the descriptor of an image."""

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
    """To `RENDER`: a line of JSON; the bytes of the thumbnails follow in the order of their sizes.

    To `EXTRACT`, it is a line of the fields, and of what the library says if it cannot read them.
    """

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
    """The image cannot be rendered, or its metadata not be read.

    Args:
        sentence: Why.
        detail: What the library says about that.
    """

    def __init__(self, sentence: str, detail: str) -> None:
        super().__init__(sentence)
        self.detail = detail


class TakesTooLong(Unrenderable):
    """The image takes too much processor time, which it would in any process."""


class NeedsMemory(Unrenderable):
    """The image takes more memory than the process has."""


class RenderingFailed(Exception):
    """The process that rendered has crashed, was killed or has not answered in time.

    Args:
        sentence: Which of these; the reason to record, whatever the exception that showed it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = sentence


class KilledFromOutside(RenderingFailed):
    """The process was killed, and not by us: by the kernel, for memory that it lacked, if any."""


def parse(line: bytes, sizes: Sequence[int]) -> Answer:
    """Return the answer in a line, which is not trusted: what wrote it has decoded the image.

    Raises:
        Unrenderable: If the answer is that.
        RenderingFailed: If it is invalid.
    """
    try:
        answer = Answer(*json.loads(line))
        if answer.unrenderable:
            kind = NeedsMemory if answer.unrenderable == LACKS_MEMORY else Unrenderable
            raise kind(_plain(answer.unrenderable), _plain(answer.detail))
        numbers = (answer.width, answer.height, *answer.lengths)
        if len(answer.lengths) != len(sizes) or not all(map(_is_possible, numbers)):
            raise ValueError("numbers that cannot be")
        if len(bytes.fromhex(answer.placeholder)) > MAX_PLACEHOLDER:
            raise ValueError("more than a placeholder")
    except (ValueError, TypeError, RecursionError) as error:
        raise RenderingFailed("The answer of the process that renders is invalid.") from error
    return answer


def parse_metadata(line: bytes) -> Metadata:
    """Return the metadata in the answer to `EXTRACT`, which is trusted as little: its valid fields.

    Raises:
        Unrenderable: If the answer is that they cannot be read.
        RenderingFailed: If it is invalid.
    """
    try:
        found, detail = json.loads(line)
        if detail:
            raise Unrenderable("Its metadata cannot be read.", _plain(detail))
        if not isinstance(found, dict):
            raise TypeError("no fields")
    except (ValueError, TypeError, RecursionError) as error:
        raise RenderingFailed("The answer of the process that renders is invalid.") from error
    return clean(found)


def _is_possible(number: object) -> bool:
    return isinstance(number, int) and 0 < number <= MAX_NUMBER


def _plain(words: str) -> str:
    return "".join(filter(str.isprintable, words))[:MAX_RENDER_ERROR]
