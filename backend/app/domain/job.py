"""Jobs: work that is done after the commit of the transaction that asks for it."""

from enum import IntEnum
from typing import NamedTuple


class Priority(IntEnum):
    """Which jobs go before others."""

    BACKLOG = -10
    """Nobody waits for it."""
    NORMAL = 0
    INTERACTIVE = 10
    """Somebody waits for it now."""


class NewJob(NamedTuple):
    """A job to insert; of those with the same task and subject, at most one is queued."""

    task: str
    """What is to be done."""
    subject: str
    """With what, such as the id of an image."""
    priority: Priority = Priority.NORMAL
