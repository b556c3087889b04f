"""Dashboards and rules ask for metrics that the service has, by labels that these have."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase

from app.observability.metrics.observer import MetricsObserver
from testkit.promql import Query, panel_queries, rule_queries

AT_A_SCRAPE = {
    "build_info": {"version", "python", "schema"},
    "process_starts_total": {"kind"},
    "process_ends_total": {"kind", "how"},
    "storage_free_bytes": {"backend"},
    "storage_size_bytes": {"backend"},
    "storage_used_bytes": set[str](),
    "images": set[str](),
    "database_up": set[str](),
    "storage_up": set[str](),
    "cache_up": set[str](),
    "queue_jobs": {"task", "state"},
    "queue_oldest_seconds": {"task"},
    "fsck_last_timestamp_seconds": set[str](),
    "fsck_last_findings": set[str](),
    "backup_last_timestamp_seconds": set[str](),
    "database_statement_seconds_total": {"statement"},
    "database_statement_calls_total": {"statement"},
}
OF_PROMETHEUS = {"instance", "job", "alertname"}


def observed() -> Iterator[tuple[str, set[str]]]:
    """Yield what the observer counts: the names of its series, and their labels."""
    registry = CollectorRegistry()
    MetricsObserver(registry)
    for metric in registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        name = metric._name.removeprefix("image_host_")
        labels = set(metric._labelnames)
        if isinstance(metric, Histogram):
            yield f"{name}_bucket", labels | {"le"}
            yield f"{name}_sum", labels
            yield f"{name}_count", labels
        else:
            yield f"{name}_total" if isinstance(metric, Counter) else name, labels


KNOWN = AT_A_SCRAPE | dict(observed())


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
