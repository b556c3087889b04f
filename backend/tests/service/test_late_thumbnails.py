"""Clients that wait for a thumbnail, over a socket."""

import logging
import socket
import struct
from collections.abc import Iterator

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.services import thumbnails
from testkit import samples
from testkit.live import TIMEOUT, LiveServer, serve, wait_until
from testkit.sockets import UPLOAD, head


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setattr(thumbnails, "WAIT_SECONDS", 10 * TIMEOUT)
    with serve(create_app(settings)) as server:
        yield server


def test_a_client_that_resets_its_connection_is_waited_for_no_longer(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    image = httpx.post(server.url + UPLOAD, files={"file": samples.jpeg()}).json()
    wait_until(lambda: not server.state.tasks)
    path = httpx.URL(image["thumbnails"]["300"]["url"]).path
    question = head(path).replace(b"POST", b"GET")

    def statuses() -> list[object]:
        return [vars(record)["status"] for record in caplog.records if hasattr(record, "status")]

    with server.connect() as first, server.connect() as second:
        for client in (first, second):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(question)
        wait_until(lambda: len(server.state.tasks) == 2)
        first.close()
        wait_until(lambda: len(server.state.tasks) == 1)
        assert statuses() == [201, 499]
    wait_until(lambda: not server.state.tasks)
    assert statuses() == [201, 499, 499]
    assert "Traceback" not in caplog.text
