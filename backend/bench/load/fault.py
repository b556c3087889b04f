"""A fault in the middle of a load, and how long requests took before and after it."""

import os
import signal
from statistics import quantiles
from threading import Timer
from typing import Final

from locust import events

AT_MOST: Final = 3.0
"""By which factor the fault may lengthen the time that 95 of 100 requests take."""


class Halves:
    """Stops a process when half of a run is over; compares the requests of the two halves.

    Args:
        process: Its id.
        seconds: How long the run takes; what is asked before all users have begun does not count.
    """

    def __init__(self, process: int, seconds: float) -> None:
        self._process = process
        self._seconds = seconds
        self._before: list[float] = []
        self._after: list[float] = []
        self._times = self._before
        events.test_start.add_listener(self._start)  # type: ignore[no-untyped-call]  # locust's own
        events.spawning_complete.add_listener(self._begin)  # type: ignore[no-untyped-call]
        events.request.add_listener(self._note)  # type: ignore[no-untyped-call]

    def judge(self) -> bool:
        """Print the 95th percentile of both halves; return whether they are near enough."""
        before, after = (quantiles(times, n=20)[-1] for times in (self._before, self._after))
        reached = after < AT_MOST * before
        print(
            f"Redis stopped after {self._seconds / 2:.0f} s: P95 {before:.0f} ms before, of "
            f"{len(self._before):,} requests, and {after:.0f} ms after, of {len(self._after):,} "
            f"({after / before:.1f} times; goal: under {AT_MOST:g}): "
            f"{'reached' if reached else 'NOT reached'}"
        )
        return reached

    def _start(self, **_: object) -> None:
        Timer(self._seconds / 2, self._stop).start()

    def _begin(self, **_: object) -> None:
        self._before.clear()

    def _stop(self) -> None:
        os.kill(self._process, signal.SIGSTOP)
        self._times = self._after

    def _note(self, response_time: float, **_: object) -> None:
        self._times.append(response_time)
