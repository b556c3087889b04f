"""A service that is stopped loses nothing that has reached it."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from testkit import samples
from testkit.daemons import lasting_port
from testkit.front import front
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_nginx
from testkit.service import Service, StartService

UPLOAD = "/api/v1/images/upload"
LISTING = "/api/v1/images"
JPEG = samples.jpeg(64, 48)
REQUEST = b"GET /api/v1/images HTTP/1.1\r\nHost: localhost\r\n\r\n"
READINESS = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect(service: Service) -> socket.socket:
    port = int(service.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)


def read_answer(client: socket.socket) -> bytes:
    """Read until the service closes."""
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return answer


def ask(client: socket.socket) -> bytes:
    client.sendall(READINESS)
    return client.recv(65536)


def stop_serving(service: Service) -> list[psutil.Process]:
    """Stop the processes that answer requests; return them."""
    serving = service.serving()
    for process in serving:
        process.send_signal(signal.SIGSTOP)
    # One that is not stopped yet would act on the next signal.
    wait_until(lambda: all(one.status() == psutil.STATUS_STOPPED for one in serving))
    return serving


def tell_to_end(service: Service, stopped: list[psutil.Process]) -> None:
    """Send SIGTERM; once resumed, the processes act on it before they read any request."""
    service.main.send_signal(signal.SIGTERM)
    wait_until(lambda: all(is_pending(signal.SIGTERM, one) for one in stopped))
    time.sleep(0.2)  # uvicorn looks every 0.1 s whether it is to end; what is overdue comes first


def resume(stopped: list[psutil.Process]) -> None:
    for process in stopped:
        process.send_signal(signal.SIGCONT)


def is_pending(number: int, process: psutil.Process) -> bool:
    """Return whether a signal waits for a process that is stopped."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    waiting = [int(line.split()[1], 16) for line in status.splitlines() if "Pnd:" in line]
    return any(signals >> (number - 1) & 1 for signals in waiting)


@pytest.mark.parametrize("workers", [1, 2])
def test_connections_in_the_backlog_are_served_before_the_service_ends(
    start: StartService, workers: int
) -> None:
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    stopped = stop_serving(service)
    with ExitStack() as opened:
        clients = [opened.enter_context(connect(service)) for _ in range(50)]
        for client in clients[:40]:
            client.sendall(REQUEST)
        # The supervisor stops listening while none of its workers can accept.
        tell_to_end(service, stopped)
        for client in clients[40:]:
            client.sendall(REQUEST)
        resume(stopped)
        for client in clients:
            answer = read_answer(client)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close\r\n" in answer.lower()
    assert service.process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_no_client_meets_a_reset_when_the_service_stops_under_load(
    start: StartService, workers: int
) -> None:
    """Each goes on until it is refused, which says clearly that nothing was done."""
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    outcomes = Counter[str]()

    def on_new_connections() -> None:
        while True:
            try:
                client = connect(service)
            except ConnectionRefusedError:
                return
            with client:
                client.sendall(REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
                outcomes[read_answer(client)[:12].decode()] += 1

    def on_one_connection() -> None:
        with suppress(httpx.ConnectError), httpx.Client(timeout=TIMEOUT) as client:
            while True:
                response = client.get(f"{service.url}{LISTING}")
                outcomes[f"HTTP/1.1 {response.status_code}"] += 1

    def uploads() -> None:
        with suppress(httpx.ConnectError), httpx.Client(timeout=TIMEOUT) as client:
            while True:
                response = client.post(f"{service.url}{UPLOAD}", files={"file": JPEG})
                outcomes[f"HTTP/1.1 {response.status_code}"] += 1

    work = [on_new_connections] * 4 + [on_one_connection] * 4 + [uploads] * 2
    with ThreadPoolExecutor(len(work)) as clients:
        running = [clients.submit(job) for job in work]
        wait_until(lambda: outcomes.total() > 100)
        service.main.send_signal(signal.SIGTERM)
        for client in running:
            client.result(TIMEOUT)
    assert service.process.wait(TIMEOUT) == 0
    assert set(outcomes) == {"HTTP/1.1 200", "HTTP/1.1 201"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_on_a_kept_connection_is_answered_after_the_signal(
    start: StartService, workers: int
) -> None:
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    with connect(service) as kept, connect(service) as half_sent:
        half_sent.sendall(READINESS[:20])
        assert ask(kept).startswith(b"HTTP/1.1 200 ")
        stopped = stop_serving(service)
        kept.sendall(READINESS)
        tell_to_end(service, stopped)
        resume(stopped)
        answer = kept.recv(65536)
        assert answer.startswith(b"HTTP/1.1 ")
        assert b"connection: close\r\n" in answer.lower()
        assert kept.recv(65536) == b"", "closed as announced, not reset"
        time.sleep(1)  # longer than idle connections are kept
        half_sent.sendall(READINESS[20:])
        answer = read_answer(half_sent)
        assert answer.startswith(b"HTTP/1.1 503 "), "it is not ready for more"
        assert b"connection: close\r\n" in answer.lower()
    assert service.process.wait(TIMEOUT) == 0


def test_idle_connections_do_not_delay_the_end(start: StartService) -> None:
    service = start().wait_until_it_serves()
    with connect(service) as asked, connect(service) as silent:
        asked.sendall(REQUEST)
        assert asked.recv(65536).startswith(b"HTTP/1.1 200 ")
        service.main.send_signal(signal.SIGTERM)
        assert asked.recv(65536) == b"", "closed, not reset"
        assert silent.recv(65536) == b""
        assert service.process.wait(TIMEOUT) == 0


@needs_nginx
@pytest.mark.parametrize("path", ["", "/pics"])
def test_a_rolling_restart_behind_nginx_shows_no_error(
    start: StartService, database_url: URL, tmp_path: Path, path: str
) -> None:
    url = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    ports = [lasting_port(), lasting_port()]

    def begin(number: int) -> Service:
        settings = (f"PORT={ports[number]}", f"WORKERS={number + 1}", f"DATABASE_URL={url}")
        behind = ("FRONT=nginx", "TRUSTED_PROXIES=127.0.0.1", f"PUBLIC_URL=http://localhost{path}")
        return start(*settings, *behind).wait_until_it_serves()

    services = [begin(0), begin(1)]
    outcomes = Counter[int]()
    stop = threading.Event()
    with (
        front(tmp_path / "front", ports, services[0].data_dir / "images", path=path) as proxy,
        ThreadPoolExecutor(8) as clients,
    ):

        def work(ask: Callable[[httpx.Client], httpx.Response]) -> None:
            with httpx.Client(base_url=proxy.url, timeout=TIMEOUT) as client:
                while not stop.is_set():
                    outcomes[ask(client).status_code] += 1

        def upload(client: httpx.Client) -> httpx.Response:
            return client.post(UPLOAD, files={"file": JPEG})

        running = [clients.submit(work, lambda client: client.get(LISTING)) for _ in range(5)]
        running += [clients.submit(work, upload) for _ in range(3)]
        try:
            for _ in range(3):
                for number in range(2):
                    before = outcomes.total()
                    wait_until(lambda before=before: outcomes.total() > before + 200)  # type: ignore[misc]
                    services[number].main.send_signal(signal.SIGTERM)
                    assert services[number].process.wait(TIMEOUT) == 0
                    services[number] = begin(number)
        finally:
            stop.set()
        for client in running:
            client.result(TIMEOUT)
    assert set(outcomes) == {200, 201}, outcomes
