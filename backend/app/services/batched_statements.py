"""Database statements, each for all who ask at the same time (ADR 0014)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from app.domain.errors import DatabaseUnavailable
from app.runtime.batching import Batcher

STATEMENTS_AT_ONCE: Final = 1
"""Statements of one kind running in one process; what arrives then waits for the next."""
ROWS_AT_ONCE: Final = 200
"""Most items of one statement."""
MAX_QUEUE_DELAY: Final = 5.0
"""Seconds that the oldest queued item may have waited when another is accepted."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def batched(
    statement: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
) -> Batcher[_Item, _Result]:
    """Return what takes one item at a time, and executes a statement for batches of them."""
    return Batcher(
        statement,
        max_concurrent=STATEMENTS_AT_ONCE,
        max_size=ROWS_AT_ONCE,
        max_queue_delay=MAX_QUEUE_DELAY,
        refusal=DatabaseUnavailable,
    )
