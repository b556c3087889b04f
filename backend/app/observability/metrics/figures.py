"""The figures as metrics."""

from collections.abc import Callable, Iterator
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.observability.figures import (
    Dependency,
    Figures,
    Maintenance,
    QueuedJobs,
    Space,
    StatementTotals,
    StoredImages,
)


class FiguresCollector(Collector):
    """Collects figures; what is not known has no sample.

    Args:
        latest: Returns what was read last, if anything was.
    """

    def __init__(self, latest: Callable[[], Figures | None]) -> None:
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """Yield what is known."""
        figures = self._latest()
        if not figures:
            return
        yield from _dependencies(
            database=figures.database, storage=figures.storage, cache=figures.cache
        )
        if figures.queue is not None:
            yield from _queue(figures.queue)
        if figures.stored:
            yield from _stored(figures.stored)
        if figures.space:
            yield from _space(figures.space)
        if figures.maintenance:
            yield from _maintenance(figures.maintenance)
        if figures.statements:
            yield from _statements(figures.statements)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"image_host_{name}", what, value)


def _dependencies(**dependencies: Dependency | None) -> Iterator[Metric]:
    for name, dependency in dependencies.items():
        if dependency:
            yield _gauge(f"{name}_up", f"Whether the {name} can be used", dependency.is_up)


def _queue(queue: tuple[QueuedJobs, ...]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("image_host_queue_jobs", "Jobs", labels=("task", "state"))
    oldest = GaugeMetricFamily(
        "image_host_queue_oldest_seconds", "Age of the oldest job that is due", labels=("task",)
    )
    for task in queue:
        jobs.add_metric((task.task, "todo"), task.queued + task.postponed)
        jobs.add_metric((task.task, "doing"), task.running)
        jobs.add_metric((task.task, "failed"), task.failed)
        oldest.add_metric((task.task,), task.oldest_seconds)
    yield jobs
    yield oldest


def _stored(stored: StoredImages) -> Iterator[Metric]:
    yield _gauge("images", "Images that are stored", stored.images)
    yield _gauge("storage_used_bytes", "Bytes of the originals of all images", stored.bytes)


def _space(space: Space) -> Iterator[Metric]:
    for name, what, size in (
        ("free", "Bytes that the storage's file system has free", space.free),
        ("size", "Bytes of the storage's file system", space.size),
    ):
        gauge = GaugeMetricFamily(f"image_host_storage_{name}_bytes", what, labels=("backend",))
        gauge.add_metric(("local",), size)
        yield gauge


def _maintenance(maintenance: Maintenance) -> Iterator[Metric]:
    if maintenance.fsck_at:
        yield _timestamp("fsck", "fsck came to an end", maintenance.fsck_at)
    if maintenance.fsck_findings is not None:
        what = "What the last fsck found and did not repair"
        yield _gauge("fsck_last_findings", what, maintenance.fsck_findings)
    if maintenance.backup_at:
        yield _timestamp("backup", "a backup was recorded", maintenance.backup_at)


def _statements(statements: tuple[StatementTotals, ...]) -> Iterator[Metric]:
    seconds = CounterMetricFamily(
        "image_host_database_statement_seconds",
        "What the slowest statements took in all, as the database counts it",
        labels=("statement",),
    )
    calls = CounterMetricFamily(
        "image_host_database_statement_calls",
        "How often the slowest statements were executed, as the database counts it",
        labels=("statement",),
    )
    for statement in statements:
        seconds.add_metric((statement.name,), statement.seconds)
        calls.add_metric((statement.name,), statement.calls)
    yield seconds
    yield calls


def _timestamp(name: str, what: str, moment: datetime) -> Metric:
    return _gauge(
        f"{name}_last_timestamp_seconds", f"When {what} last, since 1970", moment.timestamp()
    )
