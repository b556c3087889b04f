"""The metrics as Prometheus reads them."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from app.observability.figures import Figures
from app.observability.metrics.figures import FiguresCollector


class Exposition:
    """All metrics of a service.

    Args:
        folder: Where its processes keep theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.registry = CollectorRegistry()
        self._figures = FiguresCollector()
        self.registry.register(self._figures)
        MultiProcessCollector(self.registry, str(folder))  # type: ignore[no-untyped-call]

    def render(self, accept: str, figures: Figures | None = None) -> tuple[bytes, str]:
        """Return the metrics in the format that a header field Accept asks for, and its type.

        Args:
            accept: As it was sent.
            figures: What was read beside them, if it was.
        """
        self._figures.figures = figures
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type
