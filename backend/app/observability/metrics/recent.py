"""What a service has done within the last minutes, from the counts of all its processes."""

from collections import deque
from itertools import accumulate
from pathlib import Path
from time import monotonic
from typing import Final, NamedTuple

from app.observability.metrics.merging import MergedFiles

_REQUESTS: Final = "image_host_http_request_duration_seconds"
_JOBS: Final = "image_host_job_duration_seconds"
_CHECKS: Final = "/health/"
"""Begins the routes that are asked whether the service is well."""


class Recent(NamedTuple):
    """What was done within some time."""

    seconds: float
    requests: int
    errors: int
    """Requests that were answered with 5xx."""
    p95_seconds: float | None
    """95 of 100 requests took no longer (the upper bound of a bucket of the histogram, infinity
    beyond the last one); None if there was none."""
    jobs_done: int


class _Counts(NamedTuple):
    """What was counted by a moment."""

    at: float
    requests: int
    errors: int
    jobs_done: int
    by_seconds: dict[float, int]
    """Requests that took no longer than so many seconds."""


class RecentCounts:
    """Samples the counts.

    Args:
        folder: Where the processes keep their metrics.
        most: How many samples are kept.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._files = MergedFiles(folder)
        self._samples: deque[_Counts] = deque(maxlen=most)

    def sample(self) -> None:
        """Read the counts, and forget the earliest beyond those that are kept."""
        self._samples.append(self._read())

    def recent(self) -> Recent:
        """Return what was done from the first of the samples to the last."""
        if not self._samples:
            return Recent(0, 0, 0, None, 0)
        first, last = self._samples[0], self._samples[-1]
        requests = last.requests - first.requests
        enough = (
            seconds
            for seconds, count in sorted(last.by_seconds.items())
            if count - first.by_seconds.get(seconds, 0) >= 0.95 * requests
        )
        return Recent(
            last.at - first.at,
            requests,
            last.errors - first.errors,
            next(enough, None) if requests else None,
            last.jobs_done - first.jobs_done,
        )

    def _read(self) -> _Counts:
        requests = errors = 0
        by_bound: dict[float, int] = {}
        for labels, value in self._files.samples(f"{_REQUESTS}_bucket"):
            if labels["route"].startswith(_CHECKS):
                continue
            count, bound = int(value), float(labels["le"])
            requests += count
            errors += count if labels["status"] == "5xx" else 0
            by_bound[bound] = by_bound.get(bound, 0) + count
        bounds = sorted(by_bound)
        jobs = self._files.samples(f"{_JOBS}_bucket")
        return _Counts(
            monotonic(),
            requests,
            errors,
            sum(int(value) for labels, value in jobs if labels["outcome"] == "succeeded"),
            dict(zip(bounds, accumulate(by_bound[bound] for bound in bounds), strict=True)),
        )
