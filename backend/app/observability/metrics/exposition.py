"""The metrics as Prometheus reads them."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector


class Exposition:
    """All metrics of a service.

    Args:
        folder: Where its processes keep theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.registry = CollectorRegistry()
        MultiProcessCollector(self.registry, str(folder))  # type: ignore[no-untyped-call]

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format that a header field Accept asks for, and its type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type
