"""Dashboards and rules ask for metrics that the service has, by labels that these have."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from app.observability.figures import (
    Dependency,
    Figures,
    Maintenance,
    QueuedJobs,
    Space,
    StatementTotals,
    StoredImages,
)
from app.observability.metrics.collectors import BuildInfo, ProcessCounts
from app.observability.metrics.figures import FiguresCollector
from app.observability.metrics.observer import MetricsObserver
from testkit.promql import Query, panel_queries, rule_queries

OF_PROMETHEUS = {"instance", "job", "alertname"}

NOW = datetime.now(UTC)
UP = Dependency(is_up=True, since=NOW)
FIGURES = Figures(
    database=UP,
    storage=UP,
    cache=UP,
    queue=(QueuedJobs("render", 0, 0, 0, 0, 0.0),),
    stored=StoredImages(0, 0),
    space=Space(0, 0),
    maintenance=Maintenance(NOW, 0, NOW),
    statements=(StatementTotals("images.find", 0.0, 0),),
)
"""All that may be known at a scrape."""


def counted() -> Iterator[tuple[str, set[str]]]:
    """Yield what processes count: the names of its series, and their labels."""
    registry = CollectorRegistry()
    MetricsObserver(registry)
    for metric in registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        labels = set(metric._labelnames)
        if isinstance(metric, Histogram):
            yield f"{metric._name}_bucket", labels | {"le"}
            yield f"{metric._name}_sum", labels
            yield f"{metric._name}_count", labels
        else:
            yield f"{metric._name}_total" if isinstance(metric, Counter) else metric._name, labels


def collected() -> Iterator[tuple[str, set[str]]]:
    """Yield the same of what is found out at a scrape."""
    families: list[Metric] = [
        *BuildInfo("0012").collect(),
        *ProcessCounts(Path(gettempdir())).collect(),
        *FiguresCollector(lambda: FIGURES).collect(),
    ]
    for family in families:
        name = f"{family.name}_total" if isinstance(family, CounterMetricFamily) else family.name
        yield name, set(family.samples[0].labels)


KNOWN = {name.removeprefix("image_host_"): labels for name, labels in (*counted(), *collected())}


@pytest.mark.parametrize("query", panel_queries() + rule_queries(), ids=lambda query: query.place)
def test_every_metric_and_label_exists(query: Query) -> None:
    available = set(OF_PROMETHEUS)
    for name, labels in query.series():
        assert name in KNOWN
        assert labels <= KNOWN[name]
        available |= KNOWN[name]
    assert query.grouping() <= available
    if query.grouping():
        assert query.shown() <= query.grouping()
