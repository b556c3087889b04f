"""The tests of the API once more, through nginx in front of a service on a socket.

The modules are links to those of `tests/api`: the same requests, and the same answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.asgi import OpenClient
from testkit.front import front
from testkit.live import serve
from testkit.programs import needs_nginx


OF_THE_CONNECTION = ("server", "date", "connection")
"""Fields that the answers of the application have only behind a socket."""


class ToPort(httpx.AsyncHTTPTransport):
    """Sends what is for any host to a port of this machine."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        response = await super().handle_async_request(request)
        for name in OF_THE_CONNECTION:
            response.headers.pop(name, None)
        return response


@pytest.fixture(name="open_client")
def _open_client(settings: Settings, tmp_path: Path) -> OpenClient:
    """Open the application with some settings changed, behind nginx."""

    @asynccontextmanager
    async def open_client(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        fronted = {"front": "nginx", "trusted_proxies": (ip_network("127.0.0.1"),)}
        changed = settings.model_copy(update=fronted | changes)
        images = changed.data_dir / "images"
        with (
            serve(create_app(changed)) as server,
            front(tmp_path / "front", [server.port], images) as running,
        ):
            transport = ToPort(running.port)
            url = "http://images.localhost"
            async with httpx.AsyncClient(transport=transport, base_url=url) as client:
                yield client

    return open_client
