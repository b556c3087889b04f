"""What a service answers on METRICS_ADDRESS, as Prometheus reads it."""

from collections.abc import Iterator

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from testkit.live import TIMEOUT


class Scrape:
    """All metrics at one moment.

    Args:
        port: Of METRICS_ADDRESS, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT)
        answer.raise_for_status()
        self._metrics = [*text_string_to_metric_families(answer.text)]

    def sum(self, name: str, **labels: str) -> float:
        """Sum up the samples that have these labels among theirs; 0 if there are none."""
        return sum(sample.value for sample in self._samples(name, **labels))

    def values(self, name: str, label: str) -> set[str]:
        """Return what a label has in the samples of a name."""
        return {sample.labels[label] for sample in self._samples(name)}

    def _samples(self, name: str, **labels: str) -> Iterator[Sample]:
        for metric in self._metrics:
            for sample in metric.samples:
                if sample.name == f"image_host_{name}" and labels.items() <= sample.labels.items():
                    yield sample
