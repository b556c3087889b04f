"""Images that were asked for lately, so that those in demand are not looked up again each time."""

from collections import OrderedDict
from time import monotonic
from uuid import UUID

from app.domain.image import Image


class RecentImages:
    """Remembers rows for a short while. Whoever uses one must see that its file is still there.

    Args:
        most: How many; the one that was used longest ago makes room.
        seconds: For how long, from the moment at which the database was asked.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._images: OrderedDict[UUID, tuple[Image, float]] = OrderedDict()

    def find(self, image_id: UUID) -> Image | None:
        """Give an image, if it is remembered."""
        image, expires = self._images.get(image_id, (None, 0.0))
        if image is None or monotonic() >= expires:
            return None
        self._images.move_to_end(image_id)
        return image

    def remember(self, image: Image, asked_at: float) -> None:
        """Keep an image that the database gave; `asked_at` is of `time.monotonic`."""
        self._images[image.id] = (image, asked_at + self._seconds)
        self._images.move_to_end(image.id)
        if len(self._images) > self._most:
            self._images.popitem(last=False)
