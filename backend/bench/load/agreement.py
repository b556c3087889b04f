"""Whether the service's own metrics say of a load what Locust saw of it."""

import time
from bisect import bisect_left
from typing import Any, Final

from locust import events

from app.observability.metrics.exposition import KEPT_SECONDS
from testkit.metrics import Metrics, scrape

_NAME: Final = "http_request_duration_seconds"


class Agreement:
    """Compares the requests, errors and percentiles of a run.

    Args:
        address: Of the metrics.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        events.test_start.add_listener(self._start)  # type: ignore[no-untyped-call]  # locust's own

    def judge(self, total: Any) -> bool:
        """Print both sides; return whether they agree: percentiles within a bucket.

        Args:
            total: What Locust counted.
        """
        time.sleep(2 * KEPT_SECONDS)
        after = scrape(self._address)
        requests = self._grown(after, "_count")
        errors = sum(self._grown(after, "_count", status=status) for status in ("4xx", "5xx"))
        print(f"By the metrics: {requests:,.0f} requests, errors {errors:,.0f}")
        agrees: bool = requests == total.num_requests and errors == total.num_failures
        names = sorted({dict(labels)["le"] for labels in after[f"{_NAME}_bucket"]}, key=float)
        bounds = [float(name) for name in names]
        grown = [self._grown(after, "_bucket", le=name) for name in names]
        for part in (0.5, 0.95):
            seconds = total.get_response_time_percentile(part) / 1000
            ours, locusts = bisect_left(grown, part * requests), bisect_left(bounds, seconds)
            agrees = agrees and abs(ours - locusts) <= 1
            print(
                f"P{part * 100:.0f}: up to {names[ours]} s by the metrics, {seconds:g} s by Locust"
            )
        print(f"The metrics and Locust {'agree' if agrees else 'do NOT agree'}")
        return agrees

    def _start(self, **_: object) -> None:
        self._before = scrape(self._address)

    def _grown(self, after: Metrics, suffix: str, **labels: str) -> float:
        name = f"{_NAME}{suffix}"
        return after.value(name, **labels) - self._before.value(name, **labels)
