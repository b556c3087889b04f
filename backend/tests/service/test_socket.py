"""What only a real socket shows: clients that leave, lie, or are answered before they finish."""

import json
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from random import Random

import httpx
import pytest
from fastapi import FastAPI, Request
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.storage.local.blocks import BLOCK
from testkit import samples
from testkit.descriptors import open_files_below
from testkit.forms import form, part, split
from testkit.live import LiveServer, StoredFiles, assert_nothing_stored, serve, wait_until
from testkit.settings import MAX_UPLOAD_BYTES
from testkit.sockets import BATCH, UPLOAD, head, read_to_end

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(MAX_UPLOAD_BYTES)


@pytest.mark.parametrize("path", [UPLOAD, BATCH])
def test_an_upload_that_is_broken_off_leaves_nothing(
    server: LiveServer, settings: Settings, stored_files: StoredFiles, path: str
) -> None:
    field = "file" if path == UPLOAD else "files"
    body = form(part(JPEG, field), part(LARGE, field)) if path == BATCH else form(part(LARGE))
    with server.connect() as client:
        client.sendall(head(path, f"Content-Length: {len(body)}") + body[: len(JPEG) + 3 * BLOCK])
        wait_until(stored_files)  # a staging file: the upload is under way
    wait_until(lambda: not stored_files())
    wait_until(lambda: not open_files_below(settings.data_dir))
    assert_nothing_stored(server, stored_files)


@pytest.mark.parametrize("size", [1, 3, 1000, 70_000, BLOCK + 1])
def test_an_upload_arrives_whole_in_chunks_of_any_size(server: LiveServer, size: int) -> None:
    rest = 10_000 * size if size < 10 else 5 * BLOCK // 2
    image = JPEG + Random(size).randbytes(rest)  # noqa: S311 - no secret
    chunks = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in split(form(part(image)), size)]
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Transfer-Encoding: chunked", "Connection: close"))
        client.sendall(b"".join([*chunks, b"0\r\n\r\n"]))
        answer = read_to_end(client)
    image_id = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
    assert httpx.get(f"{server.url}/api/v1/images/{image_id}/file").content == image


def test_a_piece_of_a_body_reaches_the_application_without_a_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[bytes] = []
    received: list[bytes] = []
    app = FastAPI()

    @app.post("/")
    async def take(request: Request) -> None:
        async for piece in request.stream():
            received.append(piece)  # noqa: PERF401 - each is seen as it comes

    def on_body(connection: HttpToolsProtocol, piece: bytes) -> None:
        parsed.append(piece)
        add_to_body(connection, piece)

    add_to_body = HttpToolsProtocol.on_body
    monkeypatch.setattr(HttpToolsProtocol, "on_body", on_body)
    with serve(app) as server, server.connect() as client:
        client.sendall(head("/", "Content-Length: 2000", "Connection: close") + b"a" * 1000)
        wait_until(lambda: received)
        client.sendall(b"b" * 1000)
        read_to_end(client)
    assert [id(piece) for piece in received if piece] == [id(piece) for piece in parsed]


def test_a_body_declared_too_long_is_refused_before_any_of_it_is_read(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Content-Length: 999999999999"))
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nconnection: close\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems#body-too-large"
    assert_nothing_stored(server, stored_files)


def test_expect_100_continue_of_too_large_a_body_is_refused(
    server: LiveServer,
) -> None:
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Content-Length: 999999999999", "Expect: 100-continue"))
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_expect_100_continue_is_answered(server: LiveServer) -> None:
    body = form(part(JPEG))
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_a_chunked_body_over_the_limit_is_refused_while_it_arrives(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    start = form(part(JPEG))[:-40]
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Transfer-Encoding: chunked"))
        client.sendall(f"{len(start):x}\r\n".encode() + start + b"\r\n")
        for _ in range(MAX_UPLOAD_BYTES // 0x10000 + 2):
            client.sendall(chunk)
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
    wait_until(lambda: not stored_files())
    assert_nothing_stored(server, stored_files)


def test_a_client_that_is_still_sending_can_read_an_early_answer(server: LiveServer) -> None:
    body = form(part(b"no image at all" * 100_000))
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body)}"))
        client.sendall(body[:1000])
        time.sleep(0.2)  # the answer is on its way now
        client.sendall(body[1000:])
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"/problems#invalid-file-type"' in answer


def test_a_content_length_larger_than_the_body_stores_nothing(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    body = form(part(JPEG))
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body) + 1}") + body)
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    assert_nothing_stored(server, stored_files)


def test_a_content_length_smaller_than_the_body_stores_nothing(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    body = form(part(JPEG))
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body) - 10}") + body)
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert_nothing_stored(server, stored_files)


@pytest.mark.parametrize("length", ["abc", "-5", "1, 2"])
def test_a_content_length_that_is_not_a_number_is_refused(server: LiveServer, length: str) -> None:
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {length}") + form(part(JPEG)))
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_a_download_that_is_broken_off_leaves_no_file_open(
    server: LiveServer, settings: Settings
) -> None:
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": LARGE}).json()["url"]
    for _ in range(5):
        with httpx.stream("GET", url) as response:
            next(response.iter_raw(1000))
    wait_until(lambda: not open_files_below(settings.data_dir))
    assert httpx.get(url).content == LARGE


def test_a_body_that_a_download_does_not_expect_does_not_cut_it(server: LiveServer) -> None:
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": LARGE}).json()["url"]
    response = httpx.request("GET", url, content=bytes(200_000))
    assert response.content == LARGE
    assert response.headers["connection"] == "close"


def test_one_connection_serves_many_requests(server: LiveServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        for _ in range(3):
            response = client.post(UPLOAD, files={"file": JPEG})
            assert response.headers.get("connection") != "close"
            assert client.get(response.json()["url"]).content == JPEG


def test_concurrent_uploads_are_all_stored_completely(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    def upload(number: int) -> bool:
        content = samples.sized_jpeg(100_000 + number)
        with httpx.Client(base_url=server.url, timeout=60) as client:
            url = client.post(UPLOAD, files={"file": content}).json()["url"]
            return client.get(url).content == content

    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(upload, range(48)))
    assert len(stored_files()) == 48


def test_a_header_that_names_another_host_is_used_for_links_only(settings: Settings) -> None:
    """Behind a proxy any name is believed; without one, see `api/test_cross_site.py`."""
    behind_a_proxy = settings.model_copy(update={"trusted_proxies": (ip_network("192.0.2.1"),)})
    with serve(create_app(behind_a_proxy)) as server:
        response = httpx.post(
            f"{server.url}{UPLOAD}", files={"file": JPEG}, headers={"host": "evil.example"}
        )
    assert response.json()["url"].startswith("http://evil.example/api/v1/images/")


def test_the_wait_for_a_silent_client_after_its_response_is_bounded(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.middleware.request_body.LINGER_SECONDS", 0.2)
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Content-Length: 1000000") + form(part(b"text" * 200))[:500])
        assert read_to_end(client).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_left_is_logged_as_such(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    with server.connect() as client:
        client.sendall(head(UPLOAD, "Content-Length: 9999") + form(part(JPEG))[:100])

    def statuses() -> list[object]:
        return [vars(record)["status"] for record in caplog.records if hasattr(record, "status")]

    wait_until(statuses)
    assert statuses() == [499]
    assert "unhandled" not in caplog.text


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/health/live", "/health/ready", "/api/v1/images", "/api/v1/limits"]
)
def test_head_is_answered_like_get_without_a_body(server: LiveServer, path: str) -> None:
    """RFC 9110, section 9.1: every server must know both. Monitors ask so."""
    get, head = (httpx.request(method, f"{server.url}{path}") for method in ("GET", "HEAD"))
    assert head.status_code == get.status_code
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.content == b""
