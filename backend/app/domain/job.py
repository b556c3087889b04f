"""Jobs: work that is done after the commit of the transaction that asks for it."""

from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

RENDER: Final = "render"
"""The task that renders an image; its subject is the image's id."""
INVALIDATE: Final = "invalidate"
"""The task that invalidates what the cache has of an image; its subject is the image's id."""
DELETE_USER: Final = "delete-user"
"""The task that deletes a user; its subject is the user's id."""
SHARE: Final = "share"
"""The task that lets the file of an image share the bytes of equal ones; its subject is the
image's id."""
CLEANUP: Final = "cleanup"
"""The nightly task that removes what was left behind; its subject is empty."""
TASKS: Final = (RENDER, INVALIDATE, DELETE_USER, SHARE, CLEANUP)
STALE: Final = timedelta(seconds=20)
"""A worker without a heartbeat for so long is taken to have ended."""
MAX_REASON: Final = 500
"""Characters of why an attempt failed."""


class Priority(IntEnum):
    """Which jobs go before others."""

    BACKLOG = -10
    """Nobody waits for it."""
    NORMAL = 0
    INTERACTIVE = 10
    """Somebody waits for it now."""


class JobState(StrEnum):
    """Where a job is; one that succeeds is deleted."""

    QUEUED = "queued"
    POSTPONED = "postponed"
    """Queued again after an attempt that failed, and not due yet."""
    RUNNING = "running"
    FAILED = "failed"
    """Set aside after too many attempts, until somebody inserts, re-queues or discards it."""


class NewJob(NamedTuple):
    """A job to insert; there is at most one with the same task and subject."""

    task: str
    """What is to be done."""
    subject: str
    """With what, such as the id of an image."""
    priority: Priority = Priority.NORMAL
    trace_id: str = ""
    """That its log lines have; empty = that of whoever inserts it."""


class JobCount(NamedTuple):
    """How many jobs of a task are in a state."""

    task: str
    state: JobState
    jobs: int
    oldest: timedelta
    """Since the first of them was inserted."""


class FailedJob(NamedTuple):
    """A job that has been set aside."""

    id: int
    task: str
    subject: str
    attempts: int
    """All that were made."""
    lost: int
    """Those that ended their worker."""
    reason: str
    """Why the last one failed, in one line."""
    age: timedelta
    """Since it was inserted."""
