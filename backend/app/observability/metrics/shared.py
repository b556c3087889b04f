"""Metrics that several processes of a service share (ADR 68)."""

import os
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.values import MultiProcessValue

from app.observability.metrics.folder import VARIABLE
from app.observability.metrics.observer import MetricsObserver

_RESERVED: Final = {"histogram": 1 << 19, "counter": 1 << 16, "gauge_livesum": 1 << 16}
"""Bytes of each file of a process, several times what it needs."""


def shared_observer(place: str) -> MetricsObserver:
    """Return the observer of a process, which goes on with the counts of the one before it.

    Args:
        place: Of the process among those of the service; no two that run have the same.

    Raises:
        OSError: If there is no room for what it counts.
    """
    for kind, size in _RESERVED.items():
        _reserve(Path(os.environ[VARIABLE], f"{kind}_{place}.db"), size)
    shared = MultiProcessValue(process_identifier=lambda: place)  # type: ignore[no-untyped-call]
    values.ValueClass = shared
    return MetricsObserver(registry=None)


def _reserve(file: Path, size: int) -> None:
    """Make a file, unless it is there, with room that nobody else can take.

    prometheus-client maps files with holes: with no memory left for them, counting would end the
    process (SIGBUS). And it makes them empty first, as which they cannot be read at a scrape.
    """
    if file.exists():
        return
    made = file.with_suffix(".new")
    with made.open("wb") as opened:
        os.posix_fallocate(opened.fileno(), 0, size)
    made.rename(file)
