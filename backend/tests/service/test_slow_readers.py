"""Clients that take their download slowly, and those that do not take it at all."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.server.http_writer import MAX_UNSENT
from testkit import samples
from testkit.descriptors import open_files_below
from testkit.front import front
from testkit.live import LiveServer, serve, wait_until
from testkit.programs import needs_nginx
from testkit.sockets import UPLOAD

WRITER = "app.server.http_writer"
SIZE = 6 * 1024 * 1024
"""More than the kernel takes for a connection (4 MiB), if it is let."""


@pytest.fixture
def server(loop: Literal["uvloop", "asyncio"], settings: Settings) -> Iterator[LiveServer]:
    large = settings.model_copy(update={"max_upload_bytes": SIZE})
    with serve(create_app(large), loop=loop) as server:
        yield server


def begin_download(
    server: LiveServer, content: bytes, *fields: str, front: str = ""
) -> socket.socket:
    """Ask for an image, at the address of a proxy if there is one; take little at a time."""
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": content}, timeout=60).json()["url"]
    path = httpx.URL(url).path
    httpx.get(f"{front or server.url}{path}")  # into the page cache, past which it was written
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    address = httpx.URL(front or server.url)
    client.connect((address.host, address.port))
    head = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    client.sendall("\r\n".join(head).encode())
    return client


def read_slowly(client: socket.socket, seconds: float) -> bytes:
    """Take 512 bytes 20 times a second, which is far less than one block of the file."""
    taken = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        received = client.recv(512)
        if not received:
            break
        taken += received
        time.sleep(0.05)
    return taken


@pytest.mark.parametrize("size", [SIZE, 200_000], ids=["a large file", "the end of a file"])
@pytest.mark.parametrize("then", ["keep-alive", "close"])
def test_a_client_that_reads_slowly_gets_its_whole_file(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, size: int, then: str
) -> None:
    monkeypatch.setattr(f"{WRITER}.WRITE_SECONDS", 4.0)
    content = samples.sized_jpeg(size)
    with begin_download(server, content, f"Connection: {then}") as client:
        taken = read_slowly(client, 6)  # longer than the connection is kept alive
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        while len(taken.partition(b"\r\n\r\n")[2]) < size:
            received = client.recv(65536)
            assert received, f"{len(taken)} bytes, and then the end"
            taken += received
    assert taken.partition(b"\r\n\r\n")[2] == content


@pytest.mark.parametrize("size", [SIZE, 1_000_000, 200_000])
@pytest.mark.parametrize("then", ["keep-alive", "close"])
def test_a_client_that_reads_nothing_is_disconnected(
    server: LiveServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
    then: str,
) -> None:
    monkeypatch.setattr(f"{WRITER}.WRITE_SECONDS", 0.5)
    with begin_download(server, samples.sized_jpeg(size), f"Connection: {then}") as client:
        assert client.recv(100)
        wait_until(lambda: not server.state.connections)
    wait_until(lambda: not open_files_below(settings.data_dir))


def test_a_client_that_stalls_after_a_fast_start_is_disconnected(
    server: LiveServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{WRITER}.WRITE_SECONDS", 2.0)
    with begin_download(server, samples.sized_jpeg(SIZE)) as client:
        for _ in range(100):
            assert client.recv(65536)
        wait_until(lambda: not open_files_below(settings.data_dir))
    wait_until(lambda: not server.state.connections)


def test_a_client_that_reads_a_byte_now_and_then_is_disconnected(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{WRITER}.WRITE_SECONDS", 1.0)
    monkeypatch.setattr(f"{WRITER}.WRITE_MIN_RATE", 1024 * 1024)
    with (
        begin_download(server, samples.sized_jpeg(SIZE)) as client,
        suppress(ConnectionResetError),  # once it has read what was there before
    ):
        while server.state.connections:
            read_slowly(client, 0.5)
    wait_until(lambda: not server.state.connections)


def test_the_buffer_for_a_client_that_does_not_read_is_bounded(server: LiveServer) -> None:
    with begin_download(server, samples.sized_jpeg(SIZE)) as client:
        client.recv(100)
        wait_until(lambda: waiting_in_kernel(server.port))
        time.sleep(0.5)  # the service has written what it may
        assert waiting_in_kernel(server.port) < 2 * MAX_UNSENT


@needs_nginx
@pytest.mark.parametrize("path", ["", "/pics"])
def test_the_buffer_for_a_client_that_does_not_read_from_a_proxy_is_bounded_too(
    settings: Settings, tmp_path: Path, path: str
) -> None:
    """While nginx waits for room in the kernel, it takes nothing of the service."""
    behind = {
        "max_upload_bytes": SIZE,
        "front": "nginx",
        "trusted_proxies": (ip_network("127.0.0.1"),),
        "public_url": f"http://localhost{path}",
    }
    with (
        serve(create_app(settings.model_copy(update=behind))) as server,
        front(tmp_path / "front", [server.port], settings.data_dir / "images", path=path) as proxy,
        begin_download(server, samples.sized_jpeg(SIZE), front=proxy.url) as client,
    ):
        assert client.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: waiting_in_kernel(proxy.port) > 64 * 1024)
        time.sleep(0.5)
        assert waiting_in_kernel(proxy.port) < 512 * 1024


def waiting_in_kernel(port: int) -> int:
    """Return the bytes that the kernel has for the only client of the server at a port."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    (queued,) = [
        queues
        for _, local, _, state, queues, *_ in fields
        if local.endswith(f":{port:04X}") and state == "01"
    ]
    return int(queued.partition(":")[0], 16)
