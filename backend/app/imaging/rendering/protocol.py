"""What the process that renders and its parent say to each other."""

from collections.abc import Sequence
from typing import NamedTuple


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
