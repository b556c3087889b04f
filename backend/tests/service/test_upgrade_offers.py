"""Clients that offer another protocol: HTTP/1.1 goes on as if they had not (RFC 9110, 7.8)."""

import re
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from testkit import samples
from testkit.forms import form, part
from testkit.live import LiveServer, StoredFiles, assert_nothing_stored
from testkit.problems import read_problem
from testkit.programs import CURL, JAVA, needs_curl, needs_java
from testkit.sockets import SMUGGLED, UPLOAD, ask, head, read_to_end

JPEG = samples.jpeg()
BODY = form(part(JPEG))
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
JAVA_CLIENT = Path(__file__).with_name("JavaClient.java")
OFFERS = {
    "h2c, as curl and Java send it": (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    ),
    "a WebSocket": (
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ),
    "TLS": ("Connection: upgrade", "Upgrade: TLS/1.2"),
    "a proxy's": ("Connection: Upgrade", "Upgrade: connect-udp", "Capsule-Protocol: ?1"),
    "several, in any case": (
        "CONNECTION: uPGRADE",
        "upgrade: foo/1, bar",
        "UPGRADE: h2c,,websocket",
    ),
    "nothing": ("Connection: Upgrade", "Upgrade:"),
    "nonsense": ("Connection: Upgrade", "Upgrade: GET / HTTP/1.1, \x80\xff"),
}


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def offer_in(request: bytes, *offer: str) -> bytes:
    """Add an offer to a request, after its first line."""
    first, separator, rest = request.partition(b"\r\n")
    return first + separator + "".join(f"{line}\r\n" for line in offer).encode("latin-1") + rest


def upload(*fields: str) -> bytes:
    return head(UPLOAD, f"Content-Length: {len(BODY)}", *fields) + BODY


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_a_request_with_an_offer_is_served_with_its_body_and_so_is_what_follows(
    server: LiveServer, stored_files: StoredFiles, offer: tuple[str, ...]
) -> None:
    requests = [
        upload(*offer),
        head(UPLOAD, "Transfer-Encoding: chunked", *offer) + chunked(BODY),
        offer_in(LIVE + b"Content-Length: 0\r\n\r\n", *offer),
        offer_in(LIVE + b"\r\n", *offer),
        LIVE + b"\r\n",
        offer_in(LIVE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", *offer),
    ]
    answers = ask(server, b"".join(requests))
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [b"201", b"201", b"200", b"200", b"200", b"200"]
    assert [file.read_bytes() for file in stored_files()] == [JPEG, JPEG]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_an_offer_may_come_in_pieces_of_any_size(server: LiveServer, size: int) -> None:
    data = offer_in(LIVE + b"\r\n", *OFFERS["nothing"]) + upload(*OFFERS["a WebSocket"])
    with server.connect() as client:
        for start in range(0, len(data), size):
            client.sendall(data[start : start + size])
        answers = b""
        while not (b"HTTP/1.1 201 " in answers and answers.endswith(b"}")):
            answers += client.recv(65536)
    assert answers.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_in_a_later_packet_is_never_taken_for_a_request(
    server: LiveServer, stored_files: StoredFiles, framing: str
) -> None:
    content = JPEG + SMUGGLED
    body = form(part(content))
    field = f"Content-Length: {len(body)}" if framing == "length" else "Transfer-Encoding: chunked"
    begin, rest = body[: body.index(SMUGGLED)], body[body.index(SMUGGLED) :]
    if framing == "chunked":
        begin = b"%x\r\n%s\r\n%x\r\n" % (len(begin), begin, len(rest))
        rest += b"\r\n0\r\n\r\n"
    with server.connect() as client:
        client.sendall(head(UPLOAD, field, *OFFERS["h2c, as curl and Java send it"]))
        time.sleep(0.1)
        client.sendall(begin)
        time.sleep(0.1)
        client.sendall(rest + LIVE + b"Connection: close\r\n\r\n")
        answers = read_to_end(client)
    assert re.findall(rb"HTTP/1\.1 (\d+) ", answers) == [b"201", b"200"]
    assert [file.read_bytes() for file in stored_files()] == [content]


def test_an_offer_hides_nothing_that_is_otherwise_refused(
    server: LiveServer, stored_files: StoredFiles
) -> None:
    offer = OFFERS["h2c, as curl and Java send it"]
    for fields in (
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 5"),
        ("Transfer-Encoding: gzip, chunked",),
        ("Host: y",),
        ("X: a\r\n Content-Length: 5",),
    ):
        answer = ask(server, head(UPLOAD, *offer, *fields) + b"0\r\n\r\n" + SMUGGLED)
        assert answer.count(b"HTTP/1.1 ") == 1, fields
        assert read_problem(answer) == (400, "malformed-request"), fields
    assert_nothing_stored(server, stored_files)


def test_expect_100_continue_beside_an_offer_is_answered(
    server: LiveServer,
) -> None:
    fields = (f"Content-Length: {len(BODY)}", "Expect: 100-continue", *OFFERS["TLS"])
    with server.connect() as client:
        client.sendall(head(UPLOAD, *fields))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")


def test_an_offer_of_websockets_is_not_logged(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    assert ask(server, offer_in(LIVE + b"\r\n", *OFFERS["a WebSocket"])).startswith(
        b"HTTP/1.1 200 "
    )
    assert "WebSocket" not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@needs_curl
def test_curl_that_offers_http2_uploads_and_downloads(server: LiveServer, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(JPEG)
    for more in ([], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
        command = [CURL, "-sS", "--http2", *more, "-F", f"file=@{file}", f"{server.url}{UPLOAD}"]
        answer = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603
        assert b'"url"' in answer.stdout, answer
    (image, *_) = httpx.get(f"{server.url}/api/v1/images").json()["items"]
    command = [CURL, "-sS", "--http2", image["url"]]
    assert subprocess.run(command, capture_output=True, check=True).stdout == JPEG  # noqa: S603


@needs_java
def test_javas_http_client_with_its_defaults_uploads_downloads_and_deletes(
    server: LiveServer,
) -> None:
    command = [JAVA, str(JAVA_CLIENT), server.url]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["201", "201", "200", "200", "204", "404"]
