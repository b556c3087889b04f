"""The observer that counts, in the metrics that the operations manual lists."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.observability.observer import Observer, PoolState

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SHORT_SECONDS: Final = (0.0005, *_SECONDS)
_CACHE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5)
_QUEUED_SECONDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)
_LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_JOB_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
_ITEMS: Final = (1, 2, 5, 10, 20, 50, 100, 200)

_FILE_WAYS: Final = ("memory", "stream", "sendfile", "front", "redirect", "not_modified")
_SUCCEEDED: Final = ("2xx", "3xx")
_FAILED: Final = "5xx"
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"))


class _Histogram(Histogram):
    """As prometheus-client has it, without what only exemplars need."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002
        """Count an amount."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


class MetricsObserver(Observer):
    """Counts what it observes.

    Args:
        registry: Of the metrics; None where they are shared with other processes.
    """

    is_silent = False

    def __init__(self, registry: CollectorRegistry | None) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"image_host_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(
                f"image_host_{name}", what, labels, registry=registry, multiprocess_mode="livesum"
            )

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return _Histogram(
                f"image_host_{name}", what, labels, registry=registry, buckets=buckets
            )

        self._samples: list[Callable[[], None]] = []
        self._requests = histogram(
            "http_request_duration_seconds",
            "From the head of a request to the last byte that the client took",
            _SECONDS,
            *("route", "method", "status"),
        )
        self._sent = histogram("http_response_size_bytes", "Bodies of responses", _BYTES, "route")
        self._received = histogram(
            "http_request_size_bytes", "Bodies of requests that have one", _BYTES, "route"
        )
        self._by_request: dict[tuple[str, str, int], tuple[Histogram, Histogram]] = {}
        self._problems = counter(
            "http_problems", "Responses with a problem, and refused files of batches", "type"
        )
        self._refusals = counter(
            "connections_refused", "What the server refused before the application", "reason"
        )
        self._refusals.labels("too-many-connections")
        self._requests_in_progress = gauge(
            "http_requests_in_progress", "Requests that are being served"
        )
        self._connections = gauge("connections", "Connections of clients", "state")
        self._lag = histogram(
            "event_loop_lag_seconds",
            "How much later than asked the event loop came back",
            _LAG_SECONDS,
            "process",
        )
        self._uploads = counter("images_uploaded", "Images that were stored")
        self._uploaded_bytes = counter("uploaded_bytes", "Bytes of images that were stored")
        self._deletions = counter("images_deleted", "Images that were deleted")
        self._file_responses = counter(
            "file_responses", "How the bytes of files went to clients", "way"
        )
        self._files_by_way = dict.fromkeys(_FILE_WAYS, 0)
        """Since the last sample."""
        self._batch_sizes = histogram("batch_size", "Items of a batch", _ITEMS, "batch")
        self._batch_delays = histogram(
            "batch_queue_delay_seconds",
            "How long the first item of a batch was queued",
            _QUEUED_SECONDS,
            "batch",
        )
        self._statements = histogram(
            "database_statement_duration_seconds", "Statements", _SHORT_SECONDS, "statement"
        )
        self._database_errors = counter("database_errors", "Errors of the database", "error")
        self._pool = gauge("database_pool_connections", "Connections to the database", "state")
        self._pool_waiting = gauge("database_pool_waiting", "Who waits for such a connection")
        self._pool_size = gauge("database_pool_size", "Most such connections")
        self._storage = histogram(
            "storage_operation_duration_seconds",
            "Operations of a storage backend",
            _SHORT_SECONDS,
            *("backend", "operation"),
        )
        self._storage_errors = counter(
            "storage_errors",
            "Operations of a storage backend that failed",
            *("backend", "operation", "error"),
        )
        self._cache = histogram(
            "cache_operation_duration_seconds",
            "Operations of the cache",
            _CACHE_SECONDS,
            "operation",
        )
        self._cache_lookups = counter("cache_lookups", "Rows looked up in the cache", "result")
        self._cache_errors = counter("cache_errors", "Operations of the cache that failed")
        self._jobs = histogram(
            "job_duration_seconds", "Attempts of jobs", _JOB_SECONDS, *("task", "outcome")
        )
        self._tasks: set[str] = set()
        """That were attempted."""
        self._render_children = counter(
            "render_children", "How rendering processes ended their work on an image", "end"
        )

    def request(self, route: str, method: str, status: int, seconds: float, sent: int) -> None:
        """Count a request; what is not known beforehand is left out of its labels."""
        key = (route, method, status)
        found = self._by_request.get(key)
        if found is None:
            known = method if method in _METHODS else "other"
            labels = (route or "none", known, f"{status // 100}xx")
            found = (self._requests.labels(*labels), self._sent.labels(labels[0]))
            if labels[-1] in _SUCCEEDED:
                # Of a series that begins with failures, Prometheus would see no increase by them.
                self._requests.labels(*labels[:2], _FAILED)
            if known == method:
                self._by_request[key] = found
        found[0].observe(seconds)
        found[1].observe(sent)

    def request_body(self, route: str, size: int) -> None:
        """Count the body of a request."""
        self._received.labels(route or "none").observe(size)

    def problem(self, slug: str) -> None:
        """Count a response with a problem."""
        self._problems.labels(slug).inc()

    def refusal(self, slug: str) -> None:
        """Count what the server refused."""
        self._refusals.labels(slug).inc()

    def upload(self, size: int) -> None:
        """Count an image that was stored."""
        self._uploads.inc()
        self._uploaded_bytes.inc(size)

    def deletion(self, count: int) -> None:
        """Count images that were deleted."""
        self._deletions.inc(count)

    def file_response(self, way: str) -> None:
        """Count how the bytes of a file went, which the next sample adds up: it is cheaper."""
        self._files_by_way[way] += 1

    def batch(self, name: str, size: int, seconds: float) -> None:
        """Count a batch."""
        self._batch_sizes.labels(name).observe(size)
        self._batch_delays.labels(name).observe(seconds)

    def statement(self, name: str, seconds: float) -> None:
        """Count a statement."""
        self._statements.labels(name).observe(seconds)

    def database_error(self, name: str) -> None:
        """Count an error of the database."""
        self._database_errors.labels(name).inc()

    def storage_operation(self, backend: str, operation: str, seconds: float) -> None:
        """Count an operation of a storage backend."""
        self._storage.labels(backend, operation).observe(seconds)

    def storage_error(self, backend: str, operation: str, name: str) -> None:
        """Count an operation of a storage backend that failed."""
        self._storage_errors.labels(backend, operation, name).inc()

    def cache_operation(self, operation: str, seconds: float) -> None:
        """Count an operation of the cache."""
        self._cache.labels(operation).observe(seconds)

    def cache_lookups(self, hits: int, misses: int) -> None:
        """Count rows looked up in the cache."""
        self._cache_lookups.labels("hit").inc(hits)
        self._cache_lookups.labels("miss").inc(misses)

    def cache_error(self) -> None:
        """Count an operation of the cache that failed."""
        self._cache_errors.inc()

    def job(self, task: str, outcome: str, seconds: float) -> None:
        """Count an attempt of a job."""
        if task not in self._tasks:
            self._tasks.add(task)
            for failure in ("failed", "set_aside"):  # from zero on, as those of requests
                self._jobs.labels(task, failure)
        self._jobs.labels(task, outcome).observe(seconds)

    def render_child(self, end: str) -> None:
        """Count how a rendering process ended its work."""
        self._render_children.labels(end).inc()

    def watch_connections(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Set at each sample how many connections of clients are in which state."""

        def sample() -> None:
            for state, count in read().items():
                self._connections.labels(state).set(count)

        self._samples.append(sample)

    def watch_requests(self, read: Callable[[], int]) -> None:
        """Set at each sample how many requests are in progress."""
        self._samples.append(lambda: self._requests_in_progress.set(read()))

    def watch_pool(self, read: Callable[[], PoolState]) -> None:
        """Set at each sample the connections to the database."""

        def sample() -> None:
            state = read()
            self._pool.labels("used").set(state.used)
            self._pool.labels("idle").set(state.idle)
            self._pool_waiting.set(state.waiting)
            self._pool_size.set(state.size)

        self._samples.append(sample)

    def loop_lag(self, process: str, seconds: float) -> None:
        """Count how late the event loop was."""
        self._lag.labels(process).observe(seconds)

    def sample(self) -> None:
        """Set what is watched, and add what is added up."""
        for sample in self._samples:
            sample()
        for way, count in self._files_by_way.items():
            self._file_responses.labels(way).inc(count)
            self._files_by_way[way] = 0
