"""How services are that are well, and some that are not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.config.settings import Settings
from app.observability.figures import (
    Dependency,
    Figures,
    Maintenance,
    QueuedJobs,
    Space,
    StoredImages,
)
from app.observability.metrics.processes import Processes, RunningProcess
from app.observability.metrics.recent import Recent
from app.services.watch import Change, Status

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
UP = Dependency(is_up=True, since=NOW - timedelta(days=3))
DOWN = Dependency(is_up=False, since=NOW - timedelta(minutes=4), reason="no answer in time")
RUNNING = {
    place: RunningProcess(place.partition("-")[0], 100, NOW.timestamp() - 5000)
    for place in ("service-0", "service-1", "worker-0", "metrics-0")
}
FIGURES = Figures(
    database=UP,
    storage=UP,
    cache=UP,
    queue=(QueuedJobs("render", 9, 0, 1, 0, 20.0),),
    stored=StoredImages(5, 1000),
    space=Space(free=50, size=100),
    maintenance=Maintenance(NOW - timedelta(days=8), 0, NOW - timedelta(hours=20)),
    statements=None,
)
WELL = Status(
    at=NOW,
    since=NOW - timedelta(days=3),
    figures=FIGURES,
    processes=Processes(RUNNING),
    recent=Recent(300.0, 10_000, 100, 0.05, 40),
    changes=(),
)
SETTINGS = Settings(workers=2)


def with_figures(**changes: Any) -> Status:
    return WELL._replace(figures=FIGURES._replace(**changes))


def with_queue(seconds: float, failed: int = 0, jobs_done: int = 40) -> Status:
    status = with_figures(queue=(QueuedJobs("render", 9, 0, 1, failed, seconds),))
    return status._replace(recent=WELL.recent._replace(jobs_done=jobs_done))


def without(*places: str) -> Status:
    left = {place: one for place, one in RUNNING.items() if place not in places}
    return WELL._replace(processes=Processes(left))


def after_ends(count: int, minutes: int = 5) -> Status:
    end = Change(NOW - timedelta(minutes=minutes), "worker", "A worker was killed")
    return WELL._replace(changes=(end,) * count)


def with_maintenance(fsck_days: int, findings: int, backup_hours: int) -> Status:
    at = NOW - timedelta(days=fsck_days), NOW - timedelta(hours=backup_hours)
    return with_figures(maintenance=Maintenance(at[0], findings, at[1]))


TROUBLED = {
    "database": (with_figures(database=DOWN), "database-down", True),
    "storage": (with_figures(storage=DOWN), "storage-down", True),
    "cache": (with_figures(cache=DOWN), "cache-down", False),
    "errors": (
        WELL._replace(recent=Recent(300.0, 10_000, 200, 0.05, 40)),
        "budget-burning",
        True,
    ),
    "disk": (with_figures(space=Space(free=4, size=100)), "disk-nearly-full", True),
    "nobody serves": (without("service-0", "service-1"), "service-down", True),
    "one serves": (without("service-1"), "processes-restarting", False),
    "no worker": (without("worker-0"), "processes-restarting", False),
    "ends": (after_ends(3), "processes-restarting", False),
    "stuck": (with_queue(700, jobs_done=0), "queue-stuck", True),
    "behind": (with_queue(4000), "queue-stuck", False),
    "set aside": (with_queue(20, failed=3), "jobs-failing", False),
    "fsck": (with_maintenance(1, 4, 20), "fsck-found-damage", True),
    "no fsck": (with_maintenance(40, 0, 20), "fsck-overdue", False),
    "backup": (with_maintenance(8, 0, 60), "backup-too-old", True),
}
"""Each with the row of the manual that helps, and whether it is urgent."""
