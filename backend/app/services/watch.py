"""How a service is, looked at every few seconds, so that it is known since when something is so."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from app.observability.figures import Figures
from app.observability.metrics.processes import Processes, read_processes
from app.observability.metrics.recent import Recent, RecentCounts
from app.services.figures import FigureReader

LOOK_SECONDS: Final = 5
"""Between two looks."""
RECENT_SECONDS: Final = 300
"""For how long what was done is recent."""
MOST_CHANGES: Final = 100
"""That are remembered."""
NAMES: Final = {"service": "server process", "worker": "worker", "metrics": "metrics process"}
"""What the processes of each kind are called."""

_DEPENDENCIES: Final = ("database", "storage", "cache")
_ENDS: Final = {
    "ended": "ended by itself",
    "killed": "was killed",
    "hung": "did not answer and was killed",
}
_log = logging.getLogger(__name__)


class Change(NamedTuple):
    """Something that has changed."""

    at: datetime
    """When that was found."""
    subject: str
    """A dependency, or a kind of processes of which one has ended."""
    what: str
    """In a sentence."""


class Status(NamedTuple):
    """How a service is."""

    at: datetime
    since: datetime
    """When the changes were first looked for."""
    figures: Figures
    processes: Processes
    recent: Recent
    changes: tuple[Change, ...]
    """The latest first."""


class Watch:
    """Looks at a service.

    Args:
        figures: Reads what is found in its database and its storage.
        folder: Where its processes keep their metrics.
    """

    def __init__(self, figures: FigureReader, folder: Path) -> None:
        self._figures = figures
        self._folder = folder
        self._counts = RecentCounts(folder, 1 + RECENT_SECONDS // LOOK_SECONDS)
        self._since = datetime.now(UTC)
        self._are_up = dict.fromkeys(_DEPENDENCIES, True)
        self._ends = read_processes(folder).ends
        self._changes: deque[Change] = deque(maxlen=MOST_CHANGES)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Look now, and again and again until the end of the block."""
        await self._look_and_count()
        following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def look(self) -> Status:
        """Return how the service is; within a second, also where something hangs."""
        figures = await self._figures.read()
        processes = read_processes(self._folder)
        self._changes.extendleft((*self._compare(figures), *self._compare_ends(processes)))
        return Status(
            datetime.now(UTC),
            self._since,
            figures,
            processes,
            self._counts.recent(),
            tuple(self._changes),
        )

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look_and_count()

    async def _look_and_count(self) -> None:
        try:
            await self.look()
            await asyncio.to_thread(self._counts.sample)
        except Exception:  # noqa: BLE001 - whatever it is, the next look may succeed
            _log.exception("the state of the service cannot be looked at")

    def _compare(self, figures: Figures) -> Iterator[Change]:
        found = zip(_DEPENDENCIES, (figures.database, figures.storage, figures.cache), strict=True)
        for name, dependency in found:
            if dependency is None or dependency.is_up == self._are_up[name]:
                continue
            self._are_up[name] = dependency.is_up
            reason = f": {dependency.reason}" if dependency.reason else ""
            what = "can be used again" if dependency.is_up else f"cannot be used{reason}"
            yield Change(dependency.since, name, f"The {name} {what}")

    def _compare_ends(self, processes: Processes) -> Iterator[Change]:
        earlier, self._ends = self._ends, processes.ends
        for kind, counts in processes.ends.items():
            for how, count in counts.items():
                change = Change(datetime.now(UTC), kind, f"A {NAMES[kind]} {_ENDS[how]}")
                yield from [change] * (count - earlier[kind][how])
