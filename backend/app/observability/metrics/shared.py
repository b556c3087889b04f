"""Metrics that several processes of a service share (ADR 68)."""

from prometheus_client import values
from prometheus_client.values import MultiProcessValue

from app.observability.metrics.observer import MetricsObserver


def shared_observer(place: str) -> MetricsObserver:
    """Return the observer of a process, which goes on with the counts of the one before it.

    Args:
        place: Of the process among those of the service; no two that run have the same.
    """
    shared = MultiProcessValue(process_identifier=lambda: place)  # type: ignore[no-untyped-call]
    values.ValueClass = shared
    return MetricsObserver(registry=None)
