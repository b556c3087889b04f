"""Statements on the database, each for all who ask at the same time (ADR 0014)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from app.domain.errors import DatabaseUnavailable
from app.runtime.batching import Batcher

STATEMENTS_AT_ONCE: Final = 1
"""Statements of one kind under way in one process; what comes then waits for the next."""
ROWS_AT_ONCE: Final = 200
"""Most items that one of them is about."""
LONGEST_WAIT: Final = 5.0
"""Seconds for which the first in line may have waited when one more is let in."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def grouped(
    statement: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | Exception]]],
) -> Batcher[_Item, _Result]:
    """Let a statement be asked for one item at a time, and carried out for groups of them."""
    return Batcher(
        statement,
        max_concurrent=STATEMENTS_AT_ONCE,
        max_size=ROWS_AT_ONCE,
        max_queue_delay=LONGEST_WAIT,
        refusal=DatabaseUnavailable,
    )
