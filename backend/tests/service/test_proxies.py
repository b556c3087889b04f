"""A proxy on this machine, before a service that listens for IPv4 and IPv6 on one socket."""

import logging
import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit import samples
from testkit.live import LiveServer, serve, wait_until
from testkit.sockets import UPLOAD, read_to_end

pytestmark = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(),
    reason="NO IPv6 here, so a socket for both families is NOT TESTED",
)
JPEG = samples.jpeg()


@pytest.fixture
def server(settings: Settings, request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    changes: dict[str, Any] = {
        "host": "::",
        "trusted_proxies": (ip_network("127.0.0.1"),),
        "uploads_per_hour_per_ip": 1,
        "public_url": getattr(request, "param", ""),
    }
    with serve(create_app(settings.model_copy(update=changes)), host="::") as server:
        yield server


def upload(server: LiveServer, forwarded_for: str) -> httpx.Response:
    headers = {"X-Forwarded-For": forwarded_for, "X-Forwarded-Proto": "HTTPS, http"}
    return httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG}, headers=headers)


def test_an_ipv4_proxy_is_trusted_on_a_socket_for_both_families(server: LiveServer) -> None:
    first = upload(server, "198.51.100.7")
    assert first.json()["url"].startswith(f"https://127.0.0.1:{server.port}/")
    assert upload(server, '"198.51.100.7:4711"').status_code == 429
    assert upload(server, "198.51.100.8").status_code == 201


def test_clients_that_a_proxy_does_not_name_share_one_quota(server: LiveServer) -> None:
    statuses = [upload(server, name).status_code for name in ("unknown", "", "_a", "_b")]
    assert statuses == [201, 429, 429, 429]


def test_addresses_are_logged_without_the_form_that_the_socket_gives_them(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    httpx.get(f"{server.url}/health/live")
    httpx.get(f"http://[::1]:{server.port}/health/live")
    upload(server, "10.9.8.7, [2001:DB8::7%eth0]:4711")

    def clients() -> list[str]:
        return [vars(line)["client"] for line in caplog.records if hasattr(line, "client")]

    wait_until(lambda: len(clients()) == 3)  # a line is written after its answer
    assert clients() == ["127.0.0.1", "::1", "2001:db8::7"]


def test_links_for_a_client_that_names_no_host_have_the_address_that_it_used(
    server: LiveServer,
) -> None:
    with server.connect() as client:
        client.sendall(b"GET /openapi.json HTTP/1.0\r\n\r\n")
        document = read_to_end(client)
    assert f"http://127.0.0.1:{server.port}/".encode() in document
    assert b"::" not in document


@pytest.mark.parametrize("server", ["https://images.example.org/pics"], indirect=True)
def test_what_is_refused_before_it_is_a_request_is_described_below_the_path_too(
    server: LiveServer,
) -> None:
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert b'"type":"/pics/problems#malformed-request"' in read_to_end(client)
