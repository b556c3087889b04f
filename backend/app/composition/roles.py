"""The roles that a process may have, one row each (ADR 32)."""

from typing import Final, NamedTuple

from fastapi import APIRouter

from app.api import health, limits
from app.api.images import files, metadata, upload
from app.api.problems import problems_page


class Role(NamedTuple):
    """What a process does, and what it needs for that."""

    protected: tuple[APIRouter, ...] = ()
    """Their calls need the API key, where there is one."""
    public: tuple[APIRouter, ...] = ()
    has_clients: bool = True
    """Whether somebody waits for its statements, so that each has a deadline."""


SERVICE: Final = Role(
    protected=(upload.router, metadata.router),
    public=(limits.router, files.router, health.router, problems_page.router),
)
COMMAND: Final = Role(has_clients=False)
