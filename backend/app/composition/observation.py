"""Who observes what a process does: nobody, or metrics."""

import logging
from importlib.util import find_spec

from app.config.settings import Settings
from app.observability.observer import SILENT, Observer
from app.observability.reasons import reason

_log = logging.getLogger(__name__)


class CannotMeasure(Exception):
    """The package is missing that METRICS_ADDRESS needs."""


def require_metrics_package() -> None:
    """Raise what explains how to install what metrics need, if it is not installed.

    Raises:
        CannotMeasure: If it is not.
    """
    if find_spec("prometheus_client") is None:
        raise CannotMeasure("METRICS_ADDRESS needs the package prometheus-client: make metrics")


def make_observer(settings: Settings, place: str) -> Observer:
    """Return the observer of one of the processes of a service; a silent one if it cannot count.

    Args:
        settings: Of the service.
        place: Of the process among the others.
    """
    if not settings.metrics_address:
        return SILENT
    from app.observability.metrics.shared import shared_observer  # noqa: PLC0415

    try:
        return shared_observer(place)
    except OSError as error:
        _log.error("there are no metrics of %s: %s", place, reason(error))
        return SILENT
