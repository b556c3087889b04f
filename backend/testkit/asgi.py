"""The application in the test's own event loop, without a socket."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.observability.observer import SILENT, Observer

CLIENT = "192.0.2.7"
"""The address that requests come from (RFC 5737)."""

OpenClient = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
Upload = Callable[..., Awaitable[dict[str, Any]]]


@asynccontextmanager
async def open_client(
    settings: Settings, address: str = CLIENT, observer: Observer = SILENT
) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application, and yield a client of it."""
    app = create_app(settings, observer=observer)
    async with app.router.lifespan_context(app) as state:
        assert state is not None

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(with_state, client=(address, 50_000))
        async with httpx.AsyncClient(
            transport=transport, base_url="http://images.localhost"
        ) as client:
            yield client


def image_of(response: httpx.Response) -> dict[str, Any]:
    """Return the image of the answer to an upload, as all other answers have it."""
    assert response.status_code == httpx.codes.CREATED
    image: dict[str, Any] = response.json()
    del image["delete_token"], image["delete_url"]
    return image
