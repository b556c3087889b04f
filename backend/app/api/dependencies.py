"""What routes ask for."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final, TypedDict, cast

from fastapi import Depends, Request
from starlette.datastructures import URL

from app.config import Settings
from app.services.catalog import IpAddress
from app.services.image_service import ImageService

IMAGES_PATH: Final = "/api/v1/images"


class State(TypedDict):
    """What the lifespan hands to every request."""

    settings: Settings
    service: ImageService


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
    def service(self) -> ImageService:
        """The service that the lifespan opened."""
        return cast("ImageService", self._request.state.service)

    @property
    def images_url(self) -> str:
        """The absolute address of the collection of images, as clients reach it."""
        scope = self._request.scope
        server = tuple(scope["server"]) if scope.get("server") else None
        base = _base_url(scope["scheme"], self._request.headers.get("host"), server)
        return (self.settings.public_url or base) + IMAGES_PATH

    @property
    def client_address(self) -> IpAddress | None:
        """The address of the client; None where the transport has none."""
        client = self._request.client
        if client is None:
            return None
        try:
            address = ip_address(client.host)
        except ValueError:
            return None
        if isinstance(address, IPv6Address):
            return address.ipv4_mapped or IPv6Address(int(address))
        return address


@lru_cache(256)
def _base_url(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Write where a request came to, as Starlette does, which believes no Host that is none."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "path": "/", "server": server, "headers": headers})
    return f"{url.scheme}://{url.netloc}"


async def get_context(request: Request) -> Context:
    """Give the context. A coroutine, because FastAPI would call a function in a thread."""
    return Context(request)


ContextDep = Annotated[Context, Depends(get_context)]
