"""What is remembered of files in demand, so that the database is not asked each time."""

from dataclasses import dataclass
from typing import Final

from app.domain.image import Image

MOST: Final = 10_000
SECONDS: Final = 2.0
"""How many files are remembered, and for how long without asking the database again."""


@dataclass(slots=True)
class HotFile:
    """What is remembered of a file: whoever uses it must see that the file is still there."""

    image: Image
    description: object = None
    """For the caller, to keep what it derives from the image for as long as this is kept."""
