"""What is known without being counted: which version runs, and what processes did."""

import platform
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app import __version__
from app.observability.metrics.processes import KINDS, read_processes


class BuildInfo(Collector):
    """Which version runs.

    Args:
        schema: The revision of the database that it needs.
    """

    def __init__(self, schema: str) -> None:
        self._values = (__version__, platform.python_version(), schema)

    def collect(self) -> Iterable[Metric]:
        """Yield the metric."""
        labels = ("version", "python", "schema")
        family = GaugeMetricFamily("image_host_build_info", "What runs", labels=labels)
        family.add_metric(self._values, 1)
        yield family


class ProcessCounts(Collector):
    """How many processes serve, have started and have ended, by the record of their supervisor.

    Args:
        folder: Where that is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        processes = read_processes(self._folder)
        serving = GaugeMetricFamily(
            "image_host_processes_serving", "Processes that serve or take jobs", labels=("kind",)
        )
        for kind in KINDS:
            running = processes.running.values()
            count = sum(one.kind == kind and one.since is not None for one in running)
            serving.add_metric((kind,), count)
        yield serving
        starts = CounterMetricFamily(
            "image_host_process_starts", "Processes that were started", labels=("kind",)
        )
        for kind, count in processes.starts.items():
            starts.add_metric((kind,), count)
        yield starts
        ends = CounterMetricFamily(
            "image_host_process_ends", "Processes that have ended", labels=("kind", "how")
        )
        for kind, counts in processes.ends.items():
            for how, count in counts.items():
                ends.add_metric((kind, how), count)
        yield ends
