"""More connections than `MAX_CONNECTIONS`: which are served, closed, or answered with 503."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Literal

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.server import http_protocol
from testkit import samples
from testkit.forms import form, part
from testkit.live import TIMEOUT, LiveServer, serve, wait_until
from testkit.problems import read_problem
from testkit.sockets import UPLOAD, ask, head

MOST = 20
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMITS = b"GET /api/v1/limits HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""Which asks no database."""
LIST = b"GET /api/v1/images HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = form(part(samples.jpeg()))
BEGUN_UPLOAD = head(UPLOAD, f"Content-Length: {len(BODY)}") + BODY[:-10]


@pytest.fixture(params=["uvloop", "asyncio"])
def server(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveServer]:
    """Serve, and close no connection for the time that a slow machine takes."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", TIMEOUT)
    with serve(create_app(settings), MOST, request.param) as server:
        yield server


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as clients:
        yield clients


def connect(
    server: LiveServer, clients: ExitStack, count: int, *sent: bytes
) -> list[socket.socket]:
    """Open connections, and send the same on each."""
    opened = []
    for _ in range(count):
        opened.append(clients.enter_context(server.connect()))
        for data in sent:
            opened[-1].sendall(data)
    return opened


def status(client: socket.socket, request: bytes = LIST) -> bytes:
    """Ask over a connection that is open."""
    client.sendall(request)
    return client.recv(65536)[9:12]


def is_closed(client: socket.socket) -> bool:
    client.settimeout(0)
    try:
        return client.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def working(server: LiveServer, clients: ExitStack, count: int) -> list[socket.socket]:
    """Begin uploads, which wait for their last bytes."""
    uploads = connect(server, clients, count, BEGUN_UPLOAD)
    wait_until(lambda: len(server.state.tasks) == count)
    return uploads


def test_active_clients_are_served_beside_more_silent_ones_than_max_connections(
    server: LiveServer, clients: ExitStack
) -> None:
    in_use = connect(server, clients, 5)
    for _ in range(3):
        assert [status(client) for client in in_use] == [b"200"] * 5
        connect(server, clients, 25)
        assert [status(client) for client in in_use] == [b"200"] * 5
        assert httpx.get(f"{server.url}/api/v1/images", timeout=TIMEOUT).status_code == 200


def test_the_longest_idle_connection_is_closed_for_another(
    server: LiveServer, clients: ExitStack
) -> None:
    idle = connect(server, clients, MOST)
    assert [status(client) for client in idle] == [b"200"] * MOST
    assert status(idle[0]) == b"200"  # so now the second is idle for longest
    (new,) = connect(server, clients, 1)
    assert status(new) == b"200"
    wait_until(lambda: is_closed(idle[1]))
    assert not any(is_closed(client) for client in [idle[0], *idle[2:]])


def test_of_connections_without_a_request_only_the_oldest_is_closed(
    server: LiveServer, clients: ExitStack
) -> None:
    idle = connect(server, clients, MOST)
    assert [status(client) for client in idle] == [b"200"] * MOST
    silent = connect(server, clients, MOST, b"GET /api")  # half a head is no request
    wait_until(lambda: len(server.state.connections) == 2 * MOST)
    connect(server, clients, 3)
    wait_until(lambda: all(is_closed(client) for client in silent[:3]))
    assert not any(is_closed(client) for client in [*idle, *silent[3:]])


def test_returning_clients_are_served_under_a_flood_of_silent_ones(
    server: LiveServer, clients: ExitStack
) -> None:
    over, connecting = threading.Event(), threading.Lock()
    silent: list[socket.socket] = []

    def flood() -> None:
        while not over.wait(0.001):
            with suppress(OSError), connecting:
                silent.append(clients.enter_context(server.connect()))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for number in range(1, 31):
            wait_until(lambda least=number * MOST: len(silent) > least)  # type: ignore[misc]
            with connecting:  # until it has sent something, a client is as silent as the others
                (client,) = connect(server, clients, 1, LIMITS)
            assert client.recv(65536)[9:12] == b"200"
        wait_until(lambda: len(server.state.connections) <= 2 * MOST)
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_request_that_waits_to_be_read_is_served_before_later_ones(
    settings: Settings, clients: ExitStack, loop: Literal["uvloop", "asyncio"]
) -> None:
    app = create_app(settings)
    begun, over = threading.Event(), threading.Event()

    @app.get("/standstill")
    async def stand_still() -> None:
        begun.set()
        over.wait(TIMEOUT)

    with serve(app, MOST, loop) as server:
        connect(server, clients, 1, b"GET /standstill HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.wait(TIMEOUT)
        asking = connect(server, clients, 5, LIST)
        connect(server, clients, 3 * MOST)
        over.set()
        assert [client.recv(65536)[9:12] for client in asking] == [b"200"] * 5


def test_requests_under_way_are_never_cut_off_and_further_ones_get_503_with_retry_after(
    server: LiveServer, clients: ExitStack
) -> None:
    uploads = working(server, clients, MOST)
    answer = ask(server, LIST)
    assert read_problem(answer) == (503, "too-many-connections")
    assert b"\r\nretry-after: 5\r\n" in answer.lower()
    connect(server, clients, 2 * MOST)
    for client in uploads:
        client.sendall(BODY[-10:])
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")
    assert httpx.get(f"{server.url}/api/v1/images", timeout=TIMEOUT).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_answered_also_at_max_connections(
    server: LiveServer, clients: ExitStack, path: str
) -> None:
    working(server, clients, MOST)
    connect(server, clients, MOST)
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{server.url}{path}", timeout=TIMEOUT)
        assert answer.status_code == 200
    upload = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n".encode()
    assert read_problem(ask(server, upload)) == (503, "too-many-connections")


def test_connections_for_health_checks_are_bounded_too(
    server: LiveServer, clients: ExitStack
) -> None:
    connect(server, clients, 10 * MOST, LIVE)
    wait_until(lambda: len(server.state.connections) <= 2 * MOST)
    url = f"{server.url}/health/live"
    wait_until(lambda: httpx.get(url, timeout=TIMEOUT).status_code == 200)


def test_requests_of_clients_that_left_count_until_they_are_done(
    server: LiveServer, clients: ExitStack
) -> None:
    with ExitStack() as leaving:
        working(server, leaving, MOST)
    wait_until(lambda: not server.state.tasks)
    assert [status(client) for client in connect(server, clients, MOST)] == [b"200"] * MOST
