"""The tests of the API once more, through nginx in front of a service on a socket.

The modules are links to those of `tests/api`: the same requests, and the same answers.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.asgi import OpenClient
from testkit.front import front
from testkit.live import serve
from testkit.programs import needs_nginx

DIFFERENCES: Final[Mapping[str, str]] = {
    "test_a_hot_file_that_is_damaged": "within a lease, nginx serves what it has",
    "test_a_lost_thumbnail_in_demand_is_waited_for": "within a lease, nginx serves what it has",
    "test_a_thumbnail_in_demand_that_was_rendered_anew": "within a lease, nginx serves what it has",
    "test_a_download_in_another_process": "one nginx is before one process here",
    "test_an_unknown_url_is_not_found[/%2e%2e/x]": "nginx refuses paths above the root: 400",
    "test_an_unsupported_method_is_answered_with_those_supported[FROB": "no socket takes it: 400",
    "test_a_request_without_the_key_is_rejected[empty": "httpx sends no such field on a socket",
    "test_a_wrong_key_does_no_harm_where_none_is_needed[empty": "the same",
}
"""Tests that do not hold behind nginx, by the beginnings of their names; and why."""

OF_THE_CONNECTION = ("server", "date", "connection")
"""Fields that the answers of the application have only behind a socket."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is different behind nginx; skip all of it where there is no nginx."""
    here = [item for item in items if item.path.parent == Path(__file__).parent]
    left_out = [item for item in here if item.name.startswith(tuple(DIFFERENCES))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in here:
        item.add_marker(needs_nginx)


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
