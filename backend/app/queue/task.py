"""What a worker can do."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Task(NamedTuple):
    """A kind of job."""

    name: str
    run: Callable[[str], Awaitable[None]]
    """Takes the subject; an exception is a failed attempt."""
    set_aside: Callable[[str, str], Awaitable[None]] | None
    """Takes the subject and the reason, when the job is set aside."""
    seconds: float
    """The deadline of one attempt."""
    cron: str | None = None
    """When it is run periodically, with the subject ""."""
