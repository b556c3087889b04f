"""Time that passes only while everything waits: minutes of waiting take no time, and are exact."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Selector(selectors.SelectSelector):
    """Never waits, but notes how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualTime(asyncio.SelectorEventLoop):
    """An event loop for what waits for nothing but time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._virtual.now

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """Return what a coroutine does."""
        with asyncio.Runner(loop_factory=lambda: self) as runner:
            return runner.run(main)
