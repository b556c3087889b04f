"""A disk that fails on demand below the processes that write uploads."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class FaultyDisk:
    """What the processes that write uploads meet; see `testkit.faulty_writer`."""

    def __init__(self, faults: Path) -> None:
        self._faults = faults

    @contextmanager
    def failing(self, step: str, number: int) -> Iterator[None]:
        """Fail in a step of publishing with an error of the system."""
        with self._meeting(step=step, errno=number):
            yield

    @contextmanager
    def hanging(self, step: str) -> Iterator[Callable[[], bool]]:
        """Let a step last until the block ends; yield a function that returns if it has begun."""
        with self._meeting(step=step, errno=0):
            yield self._faults.with_suffix(".reached").exists

    @contextmanager
    def used_by(self, user: int) -> Iterator[None]:
        """Let permissions bind also where the tests run as root."""
        with self._meeting(user=user):
            yield

    @contextmanager
    def _meeting(self, **faults: Any) -> Iterator[None]:
        whole = self._faults.with_suffix(".new")
        whole.write_text(json.dumps(faults))
        whole.rename(self._faults)
        try:
            yield
        finally:
            self._faults.unlink()
