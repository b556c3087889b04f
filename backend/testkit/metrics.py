"""What a service exposes of its metrics, read as Prometheus would."""

from typing import NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families


class Sample(NamedTuple):
    name: str
    labels: frozenset[tuple[str, str]]


class Metrics:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples = {
            Sample(sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __getitem__(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return what a metric has, by its labels in their order."""
        return {
            tuple(sorted(sample.labels)): value
            for sample, value in self.samples.items()
            if sample.name == f"image_host_{name}"
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all that have these labels; 0 if none has."""
        wanted = frozenset(labels.items())
        return sum(
            value
            for sample, value in self.samples.items()
            if sample.name == f"image_host_{name}" and wanted <= sample.labels
        )

    def label_values(self, label: str) -> set[str]:
        """Return all values of a label."""
        return {value for sample in self.samples for name, value in sample.labels if name == label}


def scrape(address: str) -> Metrics:
    """Ask a listener for its metrics."""
    response = httpx.get(f"http://{address}/metrics")
    assert response.status_code == httpx.codes.OK
    return Metrics(response.text)
