"""Of which damaged images the operator was warned recently, so that each is one warning."""

from time import monotonic
from uuid import UUID


class DamageReports:
    """Limits reports to one an image within a period, and to so many images.

    Args:
        most: How many images; of further ones nothing is reported until a period ends.
        seconds: The period.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._ends: dict[UUID, float] = {}
        """When the period of each image ends, by `time.monotonic`; the first to end comes first."""

    def is_due(self, image_id: UUID) -> bool:
        """Return whether this image may be reported, and begin its period if so."""
        now = monotonic()
        while self._ends and next(iter(self._ends.values())) <= now:
            del self._ends[next(iter(self._ends))]
        if image_id in self._ends or len(self._ends) >= self._most:
            return False
        self._ends[image_id] = now + self._seconds
        return True
