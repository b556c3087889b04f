"""The roles that a process may have, one row each (ADR 32)."""

from typing import Final, NamedTuple

from fastapi import APIRouter

from app.api import health, limits
from app.api.images import files, metadata, upload
from app.api.middleware.authentication import InvalidKey
from app.api.problems import type_page
from app.api.problems.kinds import UNKNOWN_HOST
from app.api.problems.problem import Problem


class Served(NamedTuple):
    """A router, and what all of its routes have in common."""

    router: APIRouter
    needs_key: bool = False
    problems: tuple[type[Exception] | Problem, ...] = ()


class Role(NamedTuple):
    """What a process does, and what it needs for that."""

    routers: tuple[Served, ...] = ()
    has_clients: bool = True
    """Whether somebody waits for its statements, so that each has a deadline."""


SERVICE: Final = Role(
    routers=(
        Served(upload.router, needs_key=True, problems=(InvalidKey, UNKNOWN_HOST)),
        Served(metadata.router, needs_key=True, problems=(InvalidKey, UNKNOWN_HOST)),
        Served(limits.router, problems=(UNKNOWN_HOST,)),
        Served(files.router),
        Served(health.router),
        Served(type_page.router),
    ),
)
COMMAND: Final = Role(has_clients=False)
