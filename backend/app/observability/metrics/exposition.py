"""The metrics as Prometheus reads them."""

from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from app.observability.metrics.merging import MergedFiles

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
KEPT_SECONDS: Final = 1.0
"""However often and by how many they are asked for, they are put together once in this time."""


class Exposition:
    """All metrics of a service, or of a worker elsewhere.

    Args:
        registry: Knows those of this process.
        files: Have those of others, if there are others.
    """

    def __init__(self, registry: CollectorRegistry, files: MergedFiles | None = None) -> None:
        self.registry = registry
        self._files = files
        self._text = b""
        self._until = 0.0

    def render(self) -> bytes:
        """Return the metrics as of up to a second ago, of the type CONTENT_TYPE."""
        now = monotonic()
        if now >= self._until:
            merged = self._files.render().encode() if self._files else b""
            self._text = merged + generate_latest(self.registry)
            self._until = now + KEPT_SECONDS
        return self._text
