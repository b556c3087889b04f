"""What a service tells of its work, to whom it may concern: to nobody, unless it is measured."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class PoolState(NamedTuple):
    """The connections of a process to its database."""

    size: int
    """The most."""
    used: int
    idle: int
    waiting: int
    """Who waits for one."""


class Observer:
    """Hears of events, and does nothing with them."""

    is_silent = True
    """Whether what costs something to find out need not be found out."""

    def request(self, route: str, method: str, status: int, seconds: float, sent: int) -> None:
        """Observe a request that has ended.

        Args:
            route: The template of its path; empty = of none.
            method: As sent by the client.
            status: Of the response; 499 = the client disconnected before there was one.
            seconds: From its head to the last byte that the client took.
            sent: Bytes of the response's body.
        """

    def request_body(self, route: str, size: int) -> None:
        """Observe the body of a request that has one, of so many bytes."""

    def problem(self, slug: str) -> None:
        """Observe a response with a problem, or a file of a batch that was refused."""

    def refusal(self, slug: str) -> None:
        """Observe what the server refused before it reached the application."""

    def upload(self, size: int) -> None:
        """Observe an image that was stored, of so many bytes."""

    def deletion(self, count: int) -> None:
        """Observe images that were deleted."""

    def file_response(self, way: str) -> None:
        """Observe how the bytes of a file go to the client."""

    def batch(self, name: str, size: int, seconds: float) -> None:
        """Observe a batch that begins, and how long its first item was queued."""

    def statement(self, name: str, seconds: float) -> None:
        """Observe a statement that has ended."""

    def database_error(self, name: str) -> None:
        """Observe an error of the database, by its class."""

    def storage_operation(self, backend: str, operation: str, seconds: float) -> None:
        """Observe an operation of a storage backend that has ended."""

    def storage_error(self, backend: str, operation: str, name: str) -> None:
        """Observe an operation of a storage backend that has failed, by the class of its error."""

    def cache_operation(self, operation: str, seconds: float) -> None:
        """Observe an operation of the cache that has ended."""

    def cache_lookups(self, hits: int, misses: int) -> None:
        """Observe how many rows were found in the cache, and how many were not."""

    def cache_error(self) -> None:
        """Observe an operation of the cache that has failed."""

    def job(self, task: str, outcome: str, seconds: float) -> None:
        """Observe an attempt of a job that has ended."""

    def render_child(self, end: str) -> None:
        """Observe how a rendering process has ended its work on an image."""

    def watch_connections(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Look at each sample at the connections of clients: how many are in which state."""

    def watch_requests(self, read: Callable[[], int]) -> None:
        """Look at each sample at how many requests are in progress."""

    def watch_pool(self, read: Callable[[], PoolState]) -> None:
        """Look at each sample at the connections to the database."""

    def loop_lag(self, process: str, seconds: float) -> None:
        """Observe how much later than asked the event loop of a kind of process came back."""

    def sample(self) -> None:
        """Look at all that is watched."""


SILENT = Observer()
