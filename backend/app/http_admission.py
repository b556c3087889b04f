"""Which connections a process keeps, and which it closes when there are too many (ADR 0021)."""

from collections.abc import Iterator
from typing import Final, Protocol

SILENCE_SECONDS: Final = 1.0
"""How long a connection may be without a request before it counts as silent."""


class Connection(Protocol):
    """What the admission needs to know of a connection."""

    def has_unread_input(self) -> bool:
        """Return whether the client has sent something that is not read yet."""

    def close(self) -> None:
        """Close the connection after what has been written to it."""


class Admission:
    """The connections of one process: those that wait for a request, and those that work.

    At most `most` work at once. While more than `most` are open, each further one has a waiting
    one closed, so that nobody is kept out by clients that ask for nothing: first the one that has
    been silent for longest, then the one that has been idle for longest since its last response.
    Up to as many again may be open, so that there is an answer for those beyond.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._working: set[Connection] = set()
        self._idle: dict[Connection, None] = {}
        """Between two requests, the longest first."""
        self._new: dict[Connection, float] = {}
        """Before the first request, the longest first, and since when."""

    def add(self, connection: Connection, now: float) -> None:
        """Count a connection that has just been accepted, and make room for it."""
        self._open += 1
        self._new[connection] = now
        if self._open > self._most:
            self._make_room(connection, now)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is lost."""
        self._open -= 1
        self._forget(connection)

    def has_room(self, tasks: int) -> bool:
        """Return whether one more connection may work.

        Args:
            tasks: How many requests are worked on, also for clients that have left.
        """
        return len(self._working) < self._most and tasks < 2 * self._most

    def begin(self, connection: Connection) -> None:
        """Note that a connection works: it is never closed to make room."""
        self._forget(connection)
        self._working.add(connection)

    def rest(self, connection: Connection) -> None:
        """Note that a connection waits for its next request."""
        self._forget(connection)
        self._idle[connection] = None

    def _make_room(self, newest: Connection, now: float) -> None:
        found = (one for one in self._waiting(now) if not one.has_unread_input())
        connection = next(found, None)
        if connection is None and self._open > 2 * self._most:
            connection = newest
        if connection is not None:
            self._forget(connection)
            connection.close()

    def _waiting(self, now: float) -> Iterator[Connection]:
        """List those that may be closed, in that order; those that just came only at the limit."""
        for connection, since in self._new.items():
            if now - since < SILENCE_SECONDS:
                break
            yield connection
        yield from self._idle
        if self._open > 2 * self._most:
            yield from self._new

    def _forget(self, connection: Connection) -> None:
        self._working.discard(connection)
        self._idle.pop(connection, None)
        self._new.pop(connection, None)
