"""What a supervisor knows of its processes, for whoever answers for all (ADR 68).

A JSON file in the folder of the metrics: the supervisor imports no library to write it.
"""

import json
import logging
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import time
from typing import Final

from app.observability.metrics.folder import forget_gauges

KINDS: Final = ("service", "worker", "metrics")
"""Of processes; one serves clients, does jobs, or answers for all."""
ENDS: Final = ("ended", "killed", "hung")
"""How a process may end: by itself, by a signal, or killed because it did not answer."""

_NAME: Final = "processes.json"
_log = logging.getLogger(__name__)


@dataclass
class RunningProcess:
    """One that runs."""

    kind: str
    """Of KINDS."""
    pid: int
    since: float | None = None
    """When it began to serve or to take jobs, in seconds since 1970; None = it has not yet."""


@dataclass
class Processes:
    """All that run, by their places, and how many have started and ended."""

    running: dict[str, RunningProcess] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    """By their kinds."""
    ends: dict[str, dict[str, int]] = field(
        default_factory=lambda: {kind: dict.fromkeys(ENDS, 0) for kind in KINDS}
    )
    """By their kinds, then by how."""


class ProcessRecord:
    """Writes the file at each event; where it cannot be written, the processes go on.

    Args:
        folder: Of the metrics; None = nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._processes = Processes()

    def started(self, place: str, kind: str, pid: int) -> None:
        """Record that a process has been started."""
        self._processes.running[place] = RunningProcess(kind, pid)
        self._processes.starts[kind] += 1
        self._write()

    def serves(self, place: str) -> None:
        """Record that the process of a place has begun to serve."""
        self._processes.running[place].since = time()
        self._write()

    def ended(self, place: str, how: str) -> None:
        """Record that the process of a place has ended; what it had of something is forgotten."""
        self._processes.ends[self._processes.running.pop(place).kind][how] += 1
        if self._folder:
            forget_gauges(self._folder, place)
        self._write()

    def _write(self) -> None:
        if not self._folder:
            return
        written = self._folder / f"{_NAME}.new"
        try:
            written.write_text(json.dumps(asdict(self._processes)))
            os.replace(written, self._folder / _NAME)  # noqa: PTH105 - whole, or as it was
        except OSError as error:
            _log.warning("the record of the processes cannot be written: %s", error.strerror)


def read_processes(folder: Path) -> Processes:
    """Return what the supervisor of a folder has recorded; nothing if it has not yet."""
    with suppress(FileNotFoundError):
        found = json.loads((folder / _NAME).read_text())
        running = {place: RunningProcess(**one) for place, one in found["running"].items()}
        return Processes(running, found["starts"], found["ends"])
    return Processes()
