"""What routes ask for."""

import asyncio
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Annotated, Final, TypedDict, cast

from fastapi import Depends, Request
from starlette.datastructures import URL

from app.api.images.paths import IMAGES_PATH
from app.api.middleware.proxy_headers import parse_address
from app.config.settings import Settings
from app.domain.image import IpAddress
from app.services.use_cases import Services

NO_ADDRESS: Final = IPv4Address("0.0.0.0")  # noqa: S104 - counted, not listened on
"""Stands for all clients whose address is not known, so that they share one upload quota."""


class State(TypedDict):
    """What the lifespan hands to every request."""

    settings: Settings
    services: Services
    drain: asyncio.Event
    """Set when the service has been told to stop."""


class Context:
    """The surroundings of one request.

    One dependency for all of them: resolving one costs more than all that they do (ADR 0013).
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def settings(self) -> Settings:
        """The settings that the application was made with."""
        return cast("Settings", self._request.state.settings)

    @property
    def services(self) -> Services:
        """The use cases over what the lifespan opened."""
        return cast("Services", self._request.state.services)

    @property
    def is_draining(self) -> bool:
        """Whether the service answers what has reached it, and then stops."""
        return cast("asyncio.Event", self._request.state.drain).is_set()

    @property
    def base_url(self) -> str:
        """The absolute address of the service, as clients reach it, without a slash at its end."""
        if self.settings.public_url:
            return self.settings.public_url
        scope = self._request.scope
        server = tuple(scope["server"]) if scope.get("server") else None
        return _base_url(scope["scheme"], self._request.headers.get("host"), server)

    @property
    def images_url(self) -> str:
        """The absolute address of the collection of images."""
        return self.base_url + IMAGES_PATH

    @property
    def client_address(self) -> IpAddress:
        """The address that uploads are counted for; `NO_ADDRESS` where there is none."""
        client = self._request.client
        return (client and parse_address(client.host)) or NO_ADDRESS


@lru_cache(256)
def _base_url(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Write where a request came to, as Starlette does, which believes no Host that is none."""
    if server:
        server = str(parse_address(server[0]) or server[0]), server[1]
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "path": "/", "server": server, "headers": headers})
    return f"{url.scheme}://{url.netloc}"


async def get_context(request: Request) -> Context:
    """Give the context. A coroutine, because FastAPI would call a function in a thread."""
    return Context(request)


ContextDep = Annotated[Context, Depends(get_context)]
