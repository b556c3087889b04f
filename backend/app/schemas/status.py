"""How a service is, for programs."""

import platform
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from app import __version__
from app.database.revisions import HEAD
from app.services.troubles import State, Trouble, state_of
from app.services.watch import Status


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ShownTrouble(_Shown):
    """Something that an operator should know."""

    is_urgent: bool
    what: str
    since: datetime | None
    advice: str
    manual: str


class ShownDependency(_Shown):
    """Whether something can be used that the service depends on."""

    is_up: bool
    since: datetime
    reason: str


class Requests(_Shown):
    """What was done within the last minutes."""

    seconds: float
    requests: int
    errors: int
    p95_seconds: float | None
    """null = there was none, or it took longer than the last bucket of the histogram."""
    jobs_done: int


class Stored(_Shown):
    """What the images are in all."""

    images: int
    bytes: int


class Disk(_Shown):
    """The disk of the images, in bytes."""

    free: int
    size: int


class Task(_Shown):
    """The jobs of one task."""

    task: str
    queued: int
    postponed: int
    running: int
    failed: int
    oldest_seconds: float


class Maintained(_Shown):
    """What operators last did; null = never."""

    fsck_at: datetime | None
    fsck_findings: int | None
    backup_at: datetime | None


class Process(_Shown):
    """One that runs."""

    place: str
    kind: str
    pid: int
    since: float | None


class ShownChange(_Shown):
    """Something that has changed."""

    at: datetime
    subject: str
    what: str


class Versions(BaseModel):
    """Of the code."""

    service: str = __version__
    schema_revision: str = HEAD
    python: str = platform.python_version()


class StatusDocument(BaseModel):
    """All of it; null = it is not known now."""

    state: State
    """later = what is wrong can wait for the morning."""
    at: datetime
    since: datetime
    """From when on changes were looked for."""
    troubles: list[ShownTrouble]
    database: ShownDependency | None
    storage: ShownDependency | None
    cache: ShownDependency | None
    recent: Requests
    stored: Stored | None
    disk: Disk | None
    queue: list[Task] | None
    maintenance: Maintained | None
    processes: list[Process]
    changes: list[ShownChange]
    versions: Versions


def document_of(status: Status, troubles: Sequence[Trouble]) -> StatusDocument:
    """Return what programs are told."""
    figures = status.figures
    document = {
        "state": state_of(status, troubles),
        "at": status.at,
        "since": status.since,
        "troubles": list(troubles),
        "recent": status.recent,
        "disk": figures.space,
        "processes": [
            {"place": place, "kind": one.kind, "pid": one.pid, "since": one.since}
            for place, one in status.processes.running.items()
        ],
        "changes": list(status.changes),
        "versions": Versions(),
        **{
            name: getattr(figures, name)
            for name in ("database", "storage", "cache", "stored", "queue", "maintenance")
        },
    }
    return StatusDocument.model_validate(document, from_attributes=True)
