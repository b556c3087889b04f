"""The routers of each role that answers HTTP."""

from typing import Final, NamedTuple

from fastapi import APIRouter

from app.api import clients, health, keys, limits, users
from app.api.images import (
    changes,
    files,
    links,
    metadata,
    statistics,
    thumbnails,
    upload,
)
from app.api.problems import problems_page
from app.composition.roles import SERVICE, Role


class Routers(NamedTuple):
    """What a role serves, beside the page and the documentation."""

    protected: tuple[APIRouter, ...]
    """Each of their calls says what it needs (see `app.api.access`)."""
    public: tuple[APIRouter, ...]


ROUTERS: Final[dict[Role, Routers]] = {
    SERVICE: Routers(
        protected=(
            upload.router,
            metadata.router,
            changes.router,
            links.router,
            statistics.router,
            users.router,
            keys.router,
        ),
        public=(
            limits.router,
            clients.router,
            files.router,
            thumbnails.router,
            health.router,
            problems_page.router,
        ),
    ),
}
