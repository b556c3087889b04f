"""What is read of a service to know how it is; None = it cannot be known now."""

from datetime import datetime
from typing import NamedTuple


class Dependency(NamedTuple):
    """Whether the service can use something that it depends on."""

    is_up: bool
    since: datetime
    """When that was first found."""
    reason: str = ""
    """Why it cannot be used, in one line."""


class QueuedJobs(NamedTuple):
    """The jobs of one task, by their state."""

    task: str
    queued: int
    postponed: int
    running: int
    failed: int
    oldest_seconds: float
    """For how long the oldest one has been queued; 0 if none is."""


class StoredImages(NamedTuple):
    """What the images are in all."""

    images: int
    bytes: int
    """Of their originals, each counted in full."""


class Space(NamedTuple):
    """The room on the disk of a storage, in bytes."""

    free: int
    """What objects may take of it."""
    size: int


class Maintenance(NamedTuple):
    """What operators last did; None = never."""

    fsck_at: datetime | None
    fsck_findings: int | None
    """What that fsck found, and did not repair."""
    backup_at: datetime | None


class StatementTotals(NamedTuple):
    """What the database has counted of a statement."""

    name: str
    """As it names itself, or the number that the database has given it."""
    seconds: float
    calls: int


class Figures(NamedTuple):
    """All that is read."""

    database: Dependency | None
    storage: Dependency | None
    cache: Dependency | None
    """None also where there is no cache."""
    queue: tuple[QueuedJobs, ...] | None
    """Of each task, whether or not it has jobs."""
    stored: StoredImages | None
    space: Space | None
    """None also where the storage knows no bounds, as a bucket."""
    maintenance: Maintenance | None
    statements: tuple[StatementTotals, ...] | None
    """Those that took longest in all, where the database counts them."""
