"""What a route may ask about its request and the application."""

import asyncio
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Annotated, Final, TypedDict, cast
from uuid import UUID

from fastapi import Depends, Request
from starlette.datastructures import URL, Headers, QueryParams
from starlette.types import Scope

from app.api.images.paths import IMAGES_PATH
from app.config.settings import Settings
from app.domain.actor import Actor, Right
from app.domain.ip_address import IpAddress, parse_address
from app.domain.user_errors import AdministratorsOnly, InvalidKey, MissingScope
from app.services.keyed import KeyedRequest
from app.services.readiness import Readiness
from app.services.use_cases import Services

NO_ADDRESS: Final = IPv4Address("0.0.0.0")  # noqa: S104 - counted, not listened on
"""Stands for all clients whose address is not known, so that they share one upload quota."""


class HealthState(TypedDict):
    """What the answers about the health of a process need."""

    settings: Settings
    readiness: Readiness
    drain: asyncio.Event
    """Set when the process has been asked to stop."""


class State(HealthState):
    """What the lifespan opens for the application; the server copies it into every request."""

    services: Services


class Context:
    """One request's context, which the `Authentication` middleware makes."""

    __slots__ = ("_actor", "_key", "_scope", "_state", "keyed")

    keyed: KeyedRequest | None
    """What is known of the request as one with an Idempotency-Key (see `RepeatableRoute`)."""

    def __init__(self, scope: Scope, key: str | None) -> None:
        self._scope = scope
        self._state = cast("State", scope["state"])
        self._key = key
        self._actor: Actor | None = None
        self.keyed = None

    async def actor(self) -> Actor:
        """Return who has sent the request: found out once, when it is first asked.

        Raises:
            InvalidKey: If the key that it was sent with is nobody's.
            DatabaseUnavailable: If that cannot be found out.
        """
        if self._actor is None:
            authentication = self.services.authentication
            if self._key is None:
                self._actor = authentication.anonymous
            else:
                self._actor = await authentication.actor_of(self._key)
        return self._actor

    async def key_holder(self) -> Actor | None:
        """Return whose key the request was sent with; None without a key, or with nobody's.

        Raises:
            DatabaseUnavailable: As `actor`.
        """
        try:
            return await self.holder()
        except InvalidKey:
            return None

    async def require(self, right: Right) -> Actor:
        """Return who has sent the request, if they may do this.

        Raises:
            InvalidKey: If they may not, and have sent no key; or as `actor`.
            MissingScope: If their key is not for this.
            AdministratorsOnly: If it is, but its user is no administrator.
            DatabaseUnavailable: As `actor`.
        """
        actor = await self.actor()
        if right in actor.rights:
            return actor
        if self._key is None:
            raise InvalidKey
        if right is Right.ADMIN and Right.KEYS in actor.rights:
            raise AdministratorsOnly
        raise MissingScope(right.scope)

    async def holder(self) -> Actor:
        """Return whose key the request was sent with.

        Raises:
            InvalidKey: If it was sent with none, or as `actor`.
            DatabaseUnavailable: As `actor`.
        """
        if self._key is None:
            raise InvalidKey
        return await self.actor()

    async def token_holder(self, image_id: UUID, token: str) -> Actor:
        """Return who may delete an image: whoever sends its token.

        Raises:
            ImageNotFound: If it is not that of the image.
            DatabaseUnavailable: As `actor`.
        """
        self._actor = await self.services.delete_tokens.holder(image_id, token)
        return self._actor

    @property
    def has_asked(self) -> bool:
        """Whether it was found out who has sent the request, so that the answer depends on that."""
        return self._actor is not None

    @property
    def settings(self) -> Settings:
        """The settings that the application was made with."""
        return self._state["settings"]

    @property
    def services(self) -> Services:
        """The use cases over what the lifespan opened."""
        return self._state["services"]

    @property
    def readiness(self) -> Readiness:
        """Whether the process can use what it needs."""
        return self._state["readiness"]

    @property
    def is_draining(self) -> bool:
        """Whether the service answers the requests that have arrived, and then stops."""
        return self._state["drain"].is_set()

    @property
    def base_url(self) -> str:
        """The absolute URL of the service, as clients reach it, without a trailing slash."""
        if self.settings.public_url:
            return self.settings.public_url
        server = tuple(self._scope["server"]) if self._scope.get("server") else None
        return _base_url(self._scope["scheme"], Headers(scope=self._scope).get("host"), server)

    @property
    def images_url(self) -> str:
        """The absolute URL of the collection of images."""
        return self.base_url + IMAGES_PATH

    @property
    def query_params(self) -> QueryParams:
        """The parameters of the URL, as they were sent."""
        return QueryParams(self._scope["query_string"])

    @property
    def client_address(self) -> IpAddress:
        """The IP address that uploads are counted for; `NO_ADDRESS` where there is none."""
        client = self._scope.get("client")
        return (client and parse_address(client[0])) or NO_ADDRESS


@lru_cache(256)
def _base_url(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Return the URL that a request came to, as Starlette does, which ignores an invalid Host."""
    if server:
        server = str(parse_address(server[0]) or server[0]), server[1]
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "path": "/", "server": server, "headers": headers})
    return f"{url.scheme}://{url.netloc}"


async def get_context(request: Request) -> Context:
    """Return the context of a request. A coroutine: FastAPI runs functions in a thread."""
    return cast("Context", request.state.context)


ContextDep = Annotated[Context, Depends(get_context)]
