"""Which connections a process keeps, and which it closes when there are too many (ADR 21)."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, Protocol

from app.observability.observer import SILENT, Observer

CLOSED_TO_MAKE_ROOM: Final = "closed-to-make-room"
"""The reason for which an idle connection is closed, beside the problems that others are."""
_CANDIDATES: Final = 16
"""How many of the longest idle are examined."""


class Connection(Protocol):
    """A connection, as the admission uses it."""

    def has_unread_input(self) -> bool:
        """Return whether the client has sent something that is not read yet."""

    def close(self) -> None:
        """Close the connection after what has been written to it."""


class Admission:
    """The connections of one process: `most` that have not asked yet, and `most` that have.

    Each further one closes the longest idle of its kind. So clients that send no request keep no
    others out, and a connection in use makes room for another request only. One that works is never
    closed: where all of them work, a request is refused.

    Args:
        most: As above.
        observer: Told which are closed.
    """

    def __init__(self, most: int, observer: Observer = SILENT) -> None:
        self._most = most
        self._observer = observer
        self._silent: dict[Connection, None] = {}
        """Before their first request, the longest first."""
        self._idle: dict[Connection, None] = {}
        """Between two requests, the longest first."""
        self._working: set[Connection] = set()

    def add(self, connection: Connection) -> None:
        """Count a connection that has just been accepted."""
        self._silent[connection] = None
        if len(self._silent) > self._most:
            self._close_one(self._silent)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that is lost."""
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)
        self._working.discard(connection)

    def count_by_state(self) -> dict[str, int]:
        """Return how many connections are in each state."""
        return {
            "silent": len(self._silent),
            "idle": len(self._idle),
            "working": len(self._working),
        }

    def has_room(self, tasks: int) -> bool:
        """Return whether one more connection may work.

        Args:
            tasks: How many requests are being served, also for clients that have left.
        """
        return len(self._working) < self._most and tasks < 2 * self._most

    def has_room_for_health(self) -> bool:
        """Return whether one more connection may make a health check."""
        return len(self._working) < 2 * self._most

    def begin(self, connection: Connection) -> None:
        """Record that a connection serves a request."""
        self.remove(connection)
        self._working.add(connection)
        if len(self._working) + len(self._idle) > self._most:
            self._close_one(self._idle)

    def rest(self, connection: Connection) -> None:
        """Record that a connection is idle."""
        self.remove(connection)
        self._idle[connection] = None

    def _close_one(self, waiting: Iterable[Connection]) -> None:
        """Close the longest idle one that has no request about to be read."""
        longest = islice(waiting, _CANDIDATES)
        connection = next((one for one in longest if not one.has_unread_input()), None)
        if connection is not None:
            self.remove(connection)
            self._observer.refusal(CLOSED_TO_MAKE_ROOM)
            connection.close()
