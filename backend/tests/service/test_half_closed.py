"""Clients that say that they will send no more, and wait for their answers (`nc -N`)."""

import logging
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Literal

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit import samples
from testkit.descriptors import open_files_below
from testkit.forms import form, part
from testkit.live import LiveServer, StoredFiles, assert_nothing_stored, serve, wait_until
from testkit.programs import NC, needs_nc
from testkit.settings import MAX_UPLOAD_BYTES
from testkit.sockets import BATCH, UPLOAD, ask, connections, head, read_to_end

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(MAX_UPLOAD_BYTES)
LIST = b"GET /api/v1/images HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, settings: Settings) -> Iterator[LiveServer]:
    loop: Literal["uvloop", "asyncio"] = request.param
    with serve(create_app(settings), loop=loop) as server:
        yield server


def statuses(answers: bytes) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/health/live", "/health/ready", "/api/v1/images"])
def test_a_client_that_half_closes_after_its_request_gets_its_answer(
    server: LiveServer, version: str, method: str, path: str
) -> None:
    request = f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n\r\n"
    answer = ask(server, request.encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n") == (method == "HEAD")
    wait_until(lambda: not server.state.connections)


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("path", [UPLOAD, BATCH])
def test_an_upload_that_is_complete_before_the_half_close_is_stored_and_answered(
    server: LiveServer, stored_files: StoredFiles, path: str, framing: str
) -> None:
    field = "file" if path == UPLOAD else "files"
    body = form(part(LARGE, field))
    if framing == "length":
        request = head(path, f"Content-Length: {len(body)}") + body
    else:
        request = head(path, "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (
            len(body),
            body,
        )
    answer = ask(server, request)
    assert statuses(answer) == [b"201"]
    assert [file.read_bytes() for file in stored_files()] == [LARGE]


def test_a_delete_before_the_half_close_is_answered(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    image = httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG}).json()
    request = f"DELETE /api/v1/images/{image['id']} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(ask(server, request.encode())) == [b"204"]
    assert stored_files() == []


def test_a_client_that_half_closed_gets_its_complete_download(
    server: LiveServer, settings: Settings
) -> None:
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": LARGE}).json()["url"]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.connect(("127.0.0.1", server.port))
        client.sendall(f"GET {httpx.URL(url).path} HTTP/1.0\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        time.sleep(0.2)  # the end of the input comes while the download is under way
        answer = read_to_end(client)
    assert answer.partition(b"\r\n\r\n")[2] == LARGE
    wait_until(lambda: not open_files_below(settings.data_dir))


def test_pipelined_requests_before_the_half_close_are_all_answered(server: LiveServer) -> None:
    body = form(part(JPEG))
    upload = head(UPLOAD, f"Content-Length: {len(body)}") + body
    answers = ask(server, LIST, upload, LIST + upload, LIST)
    assert statuses(answers) == [b"200", b"201", b"200", b"201", b"200"]


@pytest.mark.parametrize("broken", ["a head", "a body", "no HTTP"])
def test_complete_requests_are_answered_though_the_next_is_broken_off(
    server: LiveServer, stored_files: StoredFiles, broken: str
) -> None:
    rest = {
        "a head": LIST[:-4],
        "a body": head(UPLOAD, "Content-Length: 9999") + form(part(JPEG))[:-9],
        "no HTTP": head(UPLOAD, "Transfer-Encoding: chunked") + b"no size\r\n",
    }[broken]
    assert statuses(ask(server, LIST + LIST + rest)) == [b"200", b"200"]
    assert_nothing_stored(server, stored_files)


def test_requests_before_malformed_http_are_answered_and_the_connection_closed(
    server: LiveServer,
) -> None:
    with server.connect() as client:
        client.sendall(LIST * 2 + head(UPLOAD, "Transfer-Encoding: chunked") + b"no size\r\n")
        answers = read_to_end(client)
    assert statuses(answers) == [b"200", b"200"]


@pytest.mark.parametrize(
    "sent", ["nothing", "half a head", "half a body", "all but the last chunk"]
)
def test_a_client_that_half_closes_before_its_request_is_complete_is_disconnected(
    server: LiveServer,
    settings: Settings,
    stored_files: StoredFiles,
    caplog: pytest.LogCaptureFixture,
    sent: str,
) -> None:
    caplog.set_level(logging.INFO, "app.api.middleware.access_log")
    body = form(part(LARGE))
    request = {
        "nothing": b"",
        "half a head": LIST[:-2],
        "half a body": head(UPLOAD, f"Content-Length: {len(body)}") + body[: len(body) // 2],
        "all but the last chunk": head(UPLOAD, "Transfer-Encoding: chunked")
        + b"%x\r\n%s\r\n" % (len(body), body),
    }[sent]
    assert ask(server, request) == b""
    wait_until(lambda: not server.state.tasks and not stored_files())
    logged = [vars(record)["status"] for record in caplog.records if hasattr(record, "status")]
    assert logged == ([499] if "a body" in sent or "chunk" in sent else [])
    wait_until(lambda: not open_files_below(settings.data_dir))
    assert_nothing_stored(server, stored_files)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_client_that_left_after_its_request_leaves_no_connection_and_no_open_file(
    server: LiveServer, settings: Settings, *, reset: bool
) -> None:
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": LARGE}).json()["url"]
    download = f"GET {httpx.URL(url).path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    for request in (LIST, download, LIST * 10 + download):
        with server.connect() as client:
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request)
    wait_until(lambda: not server.state.connections and not server.state.tasks)
    wait_until(lambda: not open_files_below(settings.data_dir))
    assert connections(server) == 0


@needs_nc
def test_netcat_gets_its_answer(server: LiveServer) -> None:
    request = b"GET /api/v1/images HTTP/1.0\r\n\r\n"
    command = [NC, "-N", "127.0.0.1", str(server.port)]
    run = subprocess.run(command, input=request, capture_output=True, check=True, timeout=60)  # noqa: S603
    assert b'"items":[]' in run.stdout
