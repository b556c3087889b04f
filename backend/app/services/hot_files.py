"""Files in demand, remembered so that the database is not asked about them each time."""

from collections import OrderedDict
from time import monotonic
from typing import Any, Final
from uuid import UUID

from app.domain.image import Image

MOST: Final = 10_000
SECONDS: Final = 2.0
"""How many files are remembered, and for how long without asking the database again."""


class HotFile:
    """What is remembered of a file: whoever uses it must see that the file is still there."""

    __slots__ = ("description", "expires", "image")

    def __init__(self, image: Image, expires: float) -> None:
        self.image = image
        self.expires = expires
        """By `time.monotonic`."""
        self.description: Any = None
        """For the caller, to keep what it derives from the image for as long as this is kept."""


class HotFiles:
    """Remembers files for a short while.

    Args:
        most: How many; the least recently used makes room.
        seconds: For how long, from the moment at which the database was asked.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._files: OrderedDict[UUID, HotFile] = OrderedDict()

    def find(self, image_id: UUID) -> HotFile | None:
        """Return a file, if it is remembered."""
        file = self._files.get(image_id)
        if file is None or monotonic() >= file.expires:
            return None
        self._files.move_to_end(image_id)
        return file

    def remember(self, image: Image, asked_at: float) -> HotFile:
        """Keep an image that the database returned; `asked_at` is of `time.monotonic`."""
        file = self._files[image.id] = HotFile(image, asked_at + self._seconds)
        self._files.move_to_end(image.id)
        if len(self._files) > self._most:
            self._files.popitem(last=False)
        return file
