"""What is wrong with a service, judged as the alerts of `deploy/prometheus/rules.yml` do."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from app.config.settings import Settings
from app.observability.figures import Figures
from app.services.watch import NAMES, Status

State = Literal["well", "later", "urgent", "unknown"]

MANUAL: Final = "docs/operations.md"

_NEARLY_FULL: Final = 0.05
_STUCK: Final = timedelta(minutes=10)
_BEHIND: Final = timedelta(hours=1)
_RESTARTING: Final = timedelta(minutes=15)
_MOST_ENDS: Final = 2
"""Of one kind of processes, within that time."""
_START_SECONDS: Final = 60
"""That a start may take."""
_MOST_ERRORS: Final = 0.0144
"""Part of the requests: by this pace, 2 % of the budget of 30 days is used up within an hour."""
_FEWEST_ERRORS: Final = 6
"""As many within an hour are an alert on a host with hardly a request."""
_FSCK_EVERY: Final = timedelta(days=35)
_BACKUP_EVERY: Final = timedelta(days=2)


class Trouble(NamedTuple):
    """Something that an operator should know."""

    row: str
    """The heading in the manual that helps."""
    is_urgent: bool
    """Whether it cannot wait for the morning."""
    what: str
    advice: str
    since: datetime | None = None

    @property
    def manual(self) -> str:
        """Where the manual has more of it."""
        return f"{MANUAL}#{self.row}"


def find_troubles(status: Status, settings: Settings) -> list[Trouble]:
    """Return all that is wrong, the urgent first."""
    found = [
        *_dependencies(status.figures),
        *_requests(status),
        *_disk(status.figures),
        *_processes(status, settings),
        *_queue(status),
        *_maintenance(status),
    ]
    return sorted(found, key=lambda trouble: not trouble.is_urgent)


def state_of(status: Status, troubles: Sequence[Trouble]) -> State:
    """Return in a word how a service is; `unknown` only for a moment after its start."""
    if any(trouble.is_urgent for trouble in troubles):
        return "urgent"
    if status.figures.database is None or status.figures.storage is None:
        return "unknown"
    return "later" if troubles else "well"


def _dependencies(figures: Figures) -> Iterator[Trouble]:
    for name, dependency, consequence in (
        ("database", figures.database, "Uploads and most downloads are answered with 503"),
        ("storage", figures.storage, "Uploads and downloads are answered with 503"),
        ("cache", figures.cache, "The service is slower, and not wrong"),
    ):
        if dependency and not dependency.is_up:
            reason = f": {dependency.reason}" if dependency.reason else ""
            yield Trouble(
                f"{name}-down",
                name != "cache",
                f"The {name} cannot be used{reason}",
                f"{consequence}. Bring it back; the service goes on by itself.",
                dependency.since,
            )


def _requests(status: Status) -> Iterator[Trouble]:
    if any(trouble.is_urgent for trouble in _dependencies(status.figures)):
        return  # it is why
    _, requests, errors, *_ = status.recent
    if errors >= _FEWEST_ERRORS and errors > _MOST_ERRORS * requests:
        yield Trouble(
            "budget-burning",
            is_urgent=True,
            what=f"{errors} of the last {requests} requests failed",
            advice="The log has the reason of each 5xx, with the id of its request.",
        )


def _disk(figures: Figures) -> Iterator[Trouble]:
    space = figures.space
    if space and space.free < _NEARLY_FULL * space.size:
        yield Trouble(
            "disk-nearly-full",
            is_urgent=True,
            what=f"The disk of the images has {space.free / space.size:.1%} left",
            advice="When it is full, uploads are refused with 507. Make room, or a larger disk.",
        )


def _processes(status: Status, settings: Settings) -> Iterator[Trouble]:
    for kind, plural, wanted, consequence in (
        ("service", "server processes", settings.workers, "Fewer clients are served."),
        ("worker", "workers", settings.worker_processes, "Jobs such as thumbnails wait."),
    ):
        ends = [one.at for one in status.changes if one.subject == kind]
        recent = [at for at in ends if at > status.at - _RESTARTING]
        running = sum(
            one.kind == kind and one.since is not None for one in status.processes.running.values()
        )
        if running < wanted and _has_begun(status):
            nobody_serves = kind == "service" and running == 0
            yield Trouble(
                "service-down" if nobody_serves else "processes-restarting",
                is_urgent=nobody_serves,
                what=f"Running {plural}: {running} of {wanted}",
                advice=f"{consequence} The log says why they end.",
                since=max(ends, default=None),
            )
        elif len(recent) > _MOST_ENDS:
            yield Trouble(
                "processes-restarting",
                is_urgent=False,
                what=f"A {NAMES[kind]} ended {len(recent)} times within 15 minutes",
                advice="Others took their places. The log says why they end.",
                since=min(recent),
            )


def _queue(status: Status) -> Iterator[Trouble]:
    queue = status.figures.queue or ()
    oldest = max((timedelta(seconds=task.oldest_seconds) for task in queue), default=timedelta())
    waits = f"The oldest job has waited for {oldest.total_seconds() / 60:.0f} minutes"
    is_stuck = oldest > _STUCK and not status.recent.jobs_done and _has_begun(status)
    if is_stuck or oldest > _BEHIND:
        yield Trouble(
            "queue-stuck",
            is_urgent=is_stuck,
            what=f"{waits}, and none is done" if is_stuck else waits,
            advice="Look whether workers run (WORKER_PROCESSES, make worker), and start more.",
            since=status.at - oldest,
        )
    if failed := sum(task.failed for task in queue):
        yield Trouble(
            "jobs-failing",
            is_urgent=False,
            what=f"Jobs that were set aside: {failed}",
            advice="make jobs ARGS=failed lists them with their reasons.",
        )


def _maintenance(status: Status) -> Iterator[Trouble]:
    """What was never recorded is not missed: some use other means."""
    maintenance = status.figures.maintenance
    if not maintenance:
        return
    fsck, findings, backup = maintenance
    if findings:
        yield Trouble(
            "fsck-found-damage",
            is_urgent=True,
            what=f"fsck found what it did not repair: {findings}",
            advice="make fsck lists it. Keep the backups that still have what is damaged.",
            since=fsck,
        )
    if backup and status.at - backup > _BACKUP_EVERY:
        yield Trouble(
            "backup-too-old",
            is_urgent=True,
            what="No backup has been recorded for two days",
            advice="What was uploaded since then has no copy.",
            since=backup,
        )
    if fsck and status.at - fsck > _FSCK_EVERY:
        yield Trouble(
            "fsck-overdue",
            is_urgent=False,
            what="fsck --checksums was not run for 35 days",
            advice="Run make fsck ARGS=--checksums, beside the running service.",
            since=fsck,
        )


def _has_begun(status: Status) -> bool:
    """Return whether the start is over, in which processes and counts are not there yet."""
    return (status.at - status.since).total_seconds() > _START_SECONDS
