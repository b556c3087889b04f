"""Many clients at once, and a client of HTTP/2, through nginx in front of a service."""

import re
import selectors
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from testkit import samples
from testkit.front import Front, front
from testkit.live import TIMEOUT, wait_until
from testkit.programs import CURL, needs_curl, needs_nginx
from testkit.service import IMAGES, Service, StartService, upload

pytestmark = needs_nginx

CLIENTS = 1000
JPEG = samples.sized_jpeg(42_000)


@pytest.fixture
def service(start: StartService) -> Service:
    """A service whose leases last for longer than all these clients take."""
    behind = ("FRONT=nginx", "TRUSTED_PROXIES=127.0.0.1", "FRONT_LEASE_SECONDS=20")
    return start(*behind, "WORKER_PROCESSES=1").wait_until_it_serves()


@pytest.fixture
def proxy(service: Service, tmp_path: Path) -> Iterator[Front]:
    port = int(service.url.rpartition(":")[2])
    with front(tmp_path / "front", [port], service.data_dir / "images", tls=True) as proxy:
        yield proxy


def answers(port: int, path: str) -> list[bytes]:
    """Ask once by each of many clients, all before any answer is read; return the answers."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    received: dict[socket.socket, bytes] = {}
    with ExitStack() as opened, selectors.DefaultSelector() as selector:
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
            received[opened.enter_context(client)] = b""
            selector.register(client, selectors.EVENT_READ)
        for client in received:
            client.sendall(request)
        while selector.get_map():
            ready = selector.select(TIMEOUT)
            assert ready, "no more answers"
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                received[key.fileobj] += (piece := key.fileobj.recv(65536))
                if not piece:
                    selector.unregister(key.fileobj)
    return [*received.values()]


@pytest.mark.parametrize("name", ["file", "thumbnails/300"])
def test_a_thousand_clients_of_an_image_that_is_not_cached_are_one_request_for_the_service(
    service: Service, proxy: Front, name: str
) -> None:
    path = f"{IMAGES}/{upload(service, JPEG)['id']}/{name}"
    service.wait_until_rendered()
    bodies = {answer.partition(b"\r\n\r\n")[2] for answer in answers(proxy.port, path)}
    assert bodies == {httpx.get(f"{proxy.url}{path}", timeout=TIMEOUT).content}
    asked = re.compile(rf"GET {path}\b")
    wait_until(lambda: len([line for line in proxy.requests if path in line]) == CLIENTS + 1)
    wait_until(lambda: asked.search(service.output))
    assert len(asked.findall(service.output)) == 1


@needs_curl
def test_curl_speaks_http2_over_tls(service: Service, proxy: Front) -> None:
    url = f"{proxy.tls_url}{IMAGES}/{upload(service, JPEG)['id']}/file"
    options = ["--silent", "--show-error", "--http2", "--cacert", f"{proxy.folder}/localhost.crt"]
    shown = ["--output", f"{proxy.folder}/got", "--write-out", "%{http_version} %{http_code}"]
    run = subprocess.run(  # noqa: S603
        [CURL, *options, *shown, url], env={}, capture_output=True, text=True, check=False
    )
    assert run.stdout == "2 200", run.stderr
    assert (proxy.folder / "got").read_bytes() == JPEG
