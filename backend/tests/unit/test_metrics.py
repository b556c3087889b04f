"""What is counted, and by which labels."""

import asyncio
from math import inf
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.api.images.file_route import FileRoute
from app.api.observed import ROUTE
from app.observability.metrics import sampling
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.observer import MetricsObserver
from app.observability.metrics.sampling import sampled
from app.observability.observer import SILENT, Observer, PoolState
from app.server.http_admission import CLOSED_TO_MAKE_ROOM, Admission
from testkit.live import until
from testkit.metrics import Metrics

IDS = 1_000_000


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def observer(registry: CollectorRegistry) -> MetricsObserver:
    return MetricsObserver(registry)


def read(registry: CollectorRegistry) -> Metrics:
    return Metrics(generate_latest(registry).decode())


def test_a_million_images_are_one_route(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    route = FileRoute()
    scope: dict[str, Any] = {"type": "http", "method": "GET", "query_string": b""}
    for number in range(IDS):
        image_id = f"{number:08x}-0000-4000-8000-000000000000"
        scope["path"] = f"/api/v1/images/{image_id}/file"
        _, found = route.matches(scope)
        observer.request(found[ROUTE], "GET", 404, 0.001, 0)
    assert read(registry).label_values("route") == {"/api/v1/images/{image_id}/file"}
    assert read(registry).value("http_request_duration_seconds_count") == IDS


def test_methods_that_nobody_knows_are_one(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    for number in range(1000):
        observer.request("", f"METHOD{number}", 405, 0.001, 0)
    metrics = read(registry)
    assert metrics.label_values("method") == {"other"}
    assert metrics.label_values("route") == {"none"}
    assert len(observer._by_request) == 0


def test_failures_are_counted_from_zero(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    """What is not there before, has no rate when it is: a burst of errors would be no alert."""
    series = (("method", "GET"), ("route", "/r"), ("status", "5xx"))
    observer.request("/r", "GET", 200, 0.1, 1)
    assert read(registry)["http_request_duration_seconds_count"][series] == 0
    observer.request("/r", "GET", 503, 0.1, 1)
    assert read(registry)["http_request_duration_seconds_count"][series] == 1


@pytest.mark.parametrize("outcome", ["failed", "set_aside"])
def test_jobs_that_fail_are_counted_from_zero(
    observer: MetricsObserver, registry: CollectorRegistry, outcome: str
) -> None:
    series = (("outcome", outcome), ("task", "render"))
    observer.job("render", "succeeded", 0.1)
    assert read(registry)["job_duration_seconds_count"][series] == 0
    observer.job("render", outcome, 0.1)
    assert read(registry)["job_duration_seconds_count"][series] == 1


def test_buckets_and_sums_are_of_what_was_observed(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    for seconds, sent in ((0.0004, 10), (0.0025, 5000), (0.2, 2_000_000), (30, 10**9)):
        observer.request("/r", "GET", 200, seconds, sent)
    metrics = read(registry)

    def buckets(name: str) -> list[float]:
        return sorted(
            count
            for labels, count in metrics[f"{name}_bucket"].items()
            if ("status", "5xx") not in labels
        )

    assert buckets("http_request_duration_seconds") == [1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4]
    assert buckets("http_response_size_bytes") == [1, 2, 2, 2, 3, 3, 4]
    assert metrics.value("http_request_duration_seconds_sum", route="/r") == pytest.approx(30.2029)
    assert metrics.value("http_response_size_bytes_sum") == 1_002_005_010


async def test_what_is_watched_is_sampled_and_the_lag_of_the_loop_with_it(
    observer: MetricsObserver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SECONDS", 0.01)
    observer.watch_connections({"silent": 1, "idle": 2, "working": 3}.copy)
    observer.watch_requests(lambda: 4)
    observer.watch_pool(lambda: PoolState(size=10, used=5, idle=2, waiting=7))
    async with sampled(observer, "service"):
        await until(lambda: read(registry).value("event_loop_lag_seconds_count") >= 2)
    metrics = read(registry)
    assert metrics["connections"] == {
        (("state", "silent"),): 1,
        (("state", "idle"),): 2,
        (("state", "working"),): 3,
    }
    assert metrics.value("http_requests_in_progress") == 4
    assert metrics["database_pool_connections"] == {
        (("state", "used"),): 5,
        (("state", "idle"),): 2,
    }
    assert metrics.value("database_pool_size") == 10
    assert metrics.value("database_pool_waiting") == 7


async def test_an_event_loop_that_is_held_up_is_seen(
    observer: MetricsObserver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SECONDS", 0.01)
    async with sampled(observer, "worker"):
        await asyncio.sleep(0)
        stop = asyncio.get_running_loop().time() + 0.3
        while asyncio.get_running_loop().time() < stop:
            pass  # nothing else runs
        await asyncio.sleep(0.05)
    slow = read(registry).value("event_loop_lag_seconds_bucket", process="worker", le="0.25")
    assert read(registry).value("event_loop_lag_seconds_count", process="worker") > slow


async def test_what_was_added_up_is_there_at_the_end(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    async with sampled(observer, "service"):
        await asyncio.sleep(0)
        for way in ("memory", "memory", "redirect"):
            observer.file_response(way)
    assert read(registry).value("file_responses_total", way="memory") == 2
    assert read(registry).value("file_responses_total", way="redirect") == 1
    assert read(registry).value("file_responses_total") == 3


async def test_a_silent_observer_is_not_asked_to_sample() -> None:
    before = len(asyncio.all_tasks())
    async with sampled(SILENT, "service"):
        assert len(asyncio.all_tasks()) == before


def test_a_connection_that_makes_room_is_a_refusal(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    class Idle:
        def has_unread_input(self) -> bool:
            return False

        def close(self) -> None:
            pass

    admission = Admission(2, observer)
    for _ in range(5):
        admission.add(Idle())
    assert read(registry).value("connections_refused_total", reason=CLOSED_TO_MAKE_ROOM) == 3
    assert admission.count_by_state() == {"silent": 2, "idle": 0, "working": 0}


def test_metrics_are_put_together_once_a_second_however_often_they_are_asked_for(
    observer: MetricsObserver, registry: CollectorRegistry
) -> None:
    exposition = Exposition(registry)
    first = exposition.render()
    exposition._until = inf
    observer.upload(7)
    assert exposition.render() is first
    exposition._until = 0
    assert Metrics(exposition.render().decode()).value("uploaded_bytes_total") == 7


def test_every_event_that_code_may_tell_is_counted() -> None:
    """Or it would be counted as nothing, without a word."""
    told = {name for name in vars(Observer) if not name.startswith("_")}
    assert told <= set(vars(MetricsObserver))
