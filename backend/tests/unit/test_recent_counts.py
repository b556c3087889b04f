"""What a service has done lately, from the counts of processes that go on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.observability.metrics.folder import VARIABLE
from app.observability.metrics.recent import Recent, RecentCounts

BACKEND = Path(__file__).parents[2]
COUNTS = """
import sys
from app.observability.metrics.shared import shared_observer
observer = shared_observer(sys.argv[1])
for status, seconds, count in eval(sys.argv[2]):
    for _ in range(count):
        observer.request("/api/v1/images", "GET", status, seconds, 0)
observer.request("/health/live", "GET", 500, 9.0, 0)
observer.job("render", "succeeded", 0.1)
observer.job("render", "failed", 0.1)
"""


def count(folder: Path, place: str, *requests: tuple[int, float, int]) -> None:
    """Let a process count: of each status and time, so many requests."""
    subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", COUNTS, place, repr(requests)],
        cwd=BACKEND,
        env=os.environ | {VARIABLE: str(folder)},
        check=True,
    )


@contextmanager
def sampled(folder: Path) -> Iterator[RecentCounts]:
    """Sample before and after the block."""
    counts = RecentCounts(folder, 2)
    counts.sample()
    yield counts
    counts.sample()


def test_what_was_counted_before_is_not_recent(tmp_path: Path) -> None:
    count(tmp_path, "service-0", (200, 0.004, 50))
    with sampled(tmp_path) as counts:
        count(tmp_path, "service-0", (200, 0.004, 94), (500, 0.04, 3))
        count(tmp_path, "service-1", (404, 0.2, 3))
    found = counts.recent()
    assert found[1:] == (100, 3, 0.05, 2)
    assert found.seconds > 0


def test_what_takes_longer_than_the_last_bucket_is_beyond_all(tmp_path: Path) -> None:
    with sampled(tmp_path) as counts:
        count(tmp_path, "service-0", (200, 11.0, 1))
    assert counts.recent().p95_seconds == float("inf")


def test_without_requests_none_has_taken_any_time(tmp_path: Path) -> None:
    counts = RecentCounts(tmp_path, 2)
    assert counts.recent() == Recent(0, 0, 0, None, 0)
    counts.sample()
    assert counts.recent()[1:] == (0, 0, None, 0)


def test_what_was_done_long_ago_is_forgotten(tmp_path: Path) -> None:
    with sampled(tmp_path) as counts:
        count(tmp_path, "service-0", (200, 0.004, 5))
    assert counts.recent().requests == 5
    counts.sample()
    assert counts.recent().requests == 0
