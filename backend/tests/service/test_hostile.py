"""Clients that want to harm, over real sockets: what they get, and what is left of them."""

import os
import re
import selectors
import socket
import statistics
import subprocess
import threading
import time
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from fastapi import Response
from fastapi.responses import HTMLResponse

from app.api.middleware.request_body import FORM_ALLOWANCE
from app.composition.http_app import create_app
from app.config.settings import Settings
from app.server.http_protocol import MAX_HEAD_BYTES, MAX_PIPELINED
from app.storage.local.blocks import BLOCK
from testkit import samples
from testkit.descriptors import open_files_below
from testkit.forms import BOUNDARY, form, part, raw_part
from testkit.live import TIMEOUT, LiveServer, StoredFiles, assert_nothing_stored, serve, wait_until
from testkit.problems import read_problem
from testkit.programs import CHROMIUM, needs_chromium
from testkit.settings import MAX_UPLOAD_BYTES
from testkit.sockets import BATCH, SMUGGLED, UPLOAD, ask, connections, head, read_to_end

JPEG = samples.jpeg()
LIMITS = "app.api.middleware.request_body"
PROTOCOL = "app.server.http_protocol"


def get_times(url: str, count: int) -> list[float]:
    """Ask as ordinary people do; no answer may be an error. Seconds for each."""
    times = []
    with httpx.Client(timeout=TIMEOUT) as client:
        for _ in range(count):
            begin = time.perf_counter()
            assert client.get(url).content == JPEG
            times.append(time.perf_counter() - begin)
            time.sleep(0.005)
    return times


def describe(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms"


def has_answer(client: socket.socket) -> bool:
    """Return whether the client has something to read."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        return bool(selector.select(0))


def test_200_slow_uploads_do_not_delay_others_and_leave_nothing(
    server: LiveServer,
    settings: Settings,
    stored_files: StoredFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG}).json()["url"]
    calm = get_times(url, 200)
    start = form(part(samples.sized_jpeg(BLOCK + 1000)))[: BLOCK + 500]
    slow = [server.connect() for _ in range(200)]
    for client in slow:
        client.sendall(head(UPLOAD, "Content-Length: 1000000") + start)
    wait_until(lambda: len(stored_files()) == 201)  # each has its staging file
    monkeypatch.setattr(f"{LIMITS}.MAX_BODY_WAIT_SECONDS", 6.0)  # for what is still to come
    trickling = list(slow)

    def trickle() -> None:
        while trickling:
            for client in list(trickling):
                if has_answer(client):  # which more bytes after the end might cost
                    trickling.remove(client)
                else:
                    client.send(b"x")
            time.sleep(1)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        attacked = get_times(url, 200)
        fresh = httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG}, timeout=TIMEOUT)
        assert fresh.status_code == 201
        answers = [read_to_end(client) for client in slow]
    finally:
        trickling.clear()
        thread.join()
        for client in slow:
            client.close()
    print(f"ordinary GETs: {describe(calm)}; beside 200 slow uploads: {describe(attacked)}")  # noqa: T201 - a figure for ADR 0011
    assert {read_problem(answer) for answer in answers} == {(408, "request-too-slow")}
    assert len(stored_files()) == 2
    assert len(httpx.get(f"{server.url}/api/v1/images").json()["items"]) == 2
    wait_until(lambda: not open_files_below(settings.data_dir))
    wait_until(lambda: connections(server) == 0)


@pytest.mark.parametrize(
    ("path", "framing"),
    [(UPLOAD, "Content-Length: 1000000"), (BATCH, "Transfer-Encoding: chunked")],
)
def test_a_body_that_stalls_is_aborted(  # noqa: PLR0913, PLR0917 - fixtures and a case
    server: LiveServer,
    settings: Settings,
    stored_files: StoredFiles,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    framing: str,
) -> None:
    monkeypatch.setattr(f"{LIMITS}.MAX_BODY_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(f"{LIMITS}.LINGER_SECONDS", 0.1)
    field = "file" if path == UPLOAD else "files"
    body = form(part(JPEG, field), part(samples.sized_jpeg(BLOCK * 2), field))[: -BLOCK // 2]
    if path == UPLOAD:
        body = form(part(samples.sized_jpeg(BLOCK * 2)))[: -BLOCK // 2]
    data = f"{len(body):x}\r\n".encode() + body if "chunked" in framing else body
    with server.connect() as client:
        client.sendall(head(path, framing) + data)
        assert read_problem(read_to_end(client)) == (408, "request-too-slow")
    assert_nothing_stored(server, stored_files)
    wait_until(lambda: not open_files_below(settings.data_dir))


def test_a_fast_start_does_not_extend_the_deadline_of_a_slow_end(
    server: LiveServer, stored_files: StoredFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMITS}.MAX_BODY_WAIT_SECONDS", 0.5)
    begin = form(part(samples.sized_jpeg(MAX_UPLOAD_BYTES)))[: MAX_UPLOAD_BYTES // 2]
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {MAX_UPLOAD_BYTES}") + begin)
        client.settimeout(0)
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            deadline = time.monotonic() + TIMEOUT
            while not selector.select(0.1):
                client.send(b"x")
                assert time.monotonic() < deadline
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: not stored_files())


def test_a_slow_but_steady_upload_completes(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMITS}.MAX_BODY_WAIT_SECONDS", 4.0)
    body = form(part(JPEG))
    step = len(body) // 16 + 1
    monkeypatch.setattr(f"{LIMITS}.BODY_MIN_RATE", step // 4)  # so that each step is enough for 4 s
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body)}"))
        for start in range(0, len(body), step):
            time.sleep(0.3)  # all of them take longer than the service waits for one
            client.sendall(body[start : start + step])
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("sent", [b"", b"GET /docs HTTP/1.1\r\nHost: x\r\n", b"\r\n", b"G"])
def test_a_head_that_does_not_arrive_is_aborted(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(f"{PROTOCOL}.HEAD_SECONDS", 1.0)
    with server.connect() as client:
        client.sendall(sent)
        answer = read_to_end(client)
    assert read_problem(answer) == (408, "request-too-slow") if sent else answer == b""
    wait_until(lambda: connections(server) == 0)


def test_a_head_that_trickles_is_aborted_also_on_a_connection_in_use(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PROTOCOL}.HEAD_SECONDS", 0.5)
    with server.connect() as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /health/live HTTP/1.1\r\nX: ")
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            deadline = time.monotonic() + TIMEOUT
            while not selector.select(0.05):
                client.sendall(b"x")
                assert time.monotonic() < deadline
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")


LARGE_HEADS = {
    "a long address": b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a long field": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
    "many fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: aaaaaaaa\r\n" * 4000 + b"\r\n",
}


@pytest.mark.parametrize("case", LARGE_HEADS)
def test_a_head_that_is_too_large_is_refused(server: LiveServer, case: str) -> None:
    assert read_problem(ask(server, LARGE_HEADS[case])) == (431, "head-too-large")


ENDLESS = {
    "an address": (b"GET /", b"a" * 4096),
    "a field": (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a" * 4096),
    "fields": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: aaaa\r\n" * 400),
    "a chunk extension": (head(UPLOAD, "Transfer-Encoding: chunked") + b"5;x=", b"a" * 4096),
    "fields after the body": (
        head(UPLOAD, "Transfer-Encoding: chunked") + b"2\r\n--\r\n0\r\n",
        b"X: aaaa\r\n" * 400,
    ),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_input_is_cut_off_soon_after_its_limit(server: LiveServer, case: str) -> None:
    begin, more = ENDLESS[case]
    sent = 0
    with server.connect() as client:
        client.sendall(begin)
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            while not selector.select(0.01):
                client.sendall(more)
                sent += len(more)
                assert sent < 20 * MAX_HEAD_BYTES
        assert read_problem(client.recv(65536)) == (431, "head-too-large")


def test_pipelined_requests_are_bounded(server: LiveServer) -> None:
    request = b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = ask(server, request * 3)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    answer = ask(server, request * 1000)
    assert answer.count(b"HTTP/1.1 ") == answer.count(b"HTTP/1.1 200 ") == 1 + MAX_PIPELINED


POST = b"POST /health/live HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
REFUSED_SHAPES = {
    "length and chunked": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a length in hexadecimal": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length over 64 bits": POST + b"Content-Length: 18446744073709551621\r\n\r\nhello",
    "an empty length": POST + b"Content-Length:\r\n\r\nhello",
    "a folded length": POST + b"Content-Length:\r\n 5\r\n\r\nhello",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a folded field that hides a length": POST + b"X: a\r\n Content-Length: 5\r\n\r\nhello",
    "lines that end in LF": POST.replace(b"\r\n", b"\n") + b"Content-Length: 5\n\nhello",
    "one line that ends in LF": POST + b"X: a\nContent-Length: 5\r\n\r\nhello",
    "a bare CR": POST + b"X: a\rContent-Length: 5\r\n\r\nhello",
    "NUL in a field": POST + b"X: a\0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "identity, then chunked": POST
    + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "gzip, then chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked with a parameter": POST + b"Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
    "quoted": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET /health/live HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT to a path": b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT with an offer and a body": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n"
    b"Connection: Upgrade\r\nUpgrade: connect-tcp\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
UPLOAD_CHUNKED = head(UPLOAD, "Transfer-Encoding: chunked")
REFUSED_CHUNKS = {
    "an extension that ends in LF": b"5;a\nhello\r\n0\r\n\r\n",
    "an extension with a quoted line end": b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    "a size that ends in LF": b"5\nhello\n0\n\n",
    "data that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhelloXX0\r\n\r\n",
    "a size with a sign": b"-5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size and a space": b"5 \r\nhello\r\n0\r\n\r\n",
    "a space and a size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size over 64 bits": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "a length after the body": b"0\r\nContent-Length: 50\r\n\r\n",
}


def test_an_ambiguous_request_is_refused_with_all_that_follows(
    server: LiveServer, stored_files: StoredFiles, caplog: pytest.LogCaptureFixture
) -> None:
    shapes = REFUSED_SHAPES | {
        name: UPLOAD_CHUNKED + chunks for name, chunks in REFUSED_CHUNKS.items()
    }
    for case, shape in shapes.items():
        answer = ask(server, shape + SMUGGLED)
        assert answer.count(b"HTTP/1.1 ") == 1, case
        assert read_problem(answer) == (400, "malformed-request"), case
    lines = [record.getMessage() for record in caplog.records if record.name == PROTOCOL]
    assert len(lines) == len(shapes)
    for line in lines:
        assert re.fullmatch(
            r"refused a request of 127\.0\.0\.1: malformed-request: [\w`, .()'/-]+", line
        )
    assert_nothing_stored(server, stored_files)


def test_an_unambiguous_request_is_served(server: LiveServer) -> None:
    body = form(part(JPEG))
    for framed in (
        UPLOAD_CHUNKED + b"%x;a=b\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(body), body),
        head(UPLOAD, "Transfer-Encoding:\tCHUNKED") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ):
        answer = ask(server, framed + b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert answer.count(b"HTTP/1.1 200 ") == 1
    assert ask(server, b"GET /health/live HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_trailer_field_does_not_replace_a_field_of_the_proxy(settings: Settings) -> None:
    trusted = settings.model_copy(update={"trusted_proxies": (ip_network("127.0.0.0/8"),)})
    body = form(part(JPEG))
    late = b"%x\r\n%s\r\n0\r\nX-Forwarded-Proto: https\r\n\r\n" % (len(body), body)
    with serve(create_app(trusted)) as server:
        answer = ask(
            server, head(UPLOAD, "X-Forwarded-Proto: http", "Transfer-Encoding: chunked") + late
        )
    assert b'"url":"http://images.localhost/' in answer


TRAVERSALS = [
    "/api/v1/images/%2e%2e/%2e%2e/etc/passwd",
    "/api/v1/images/../../../../etc/passwd",
    "/api/v1/images/..%2f..%2f..%2fetc%2fpasswd/file",
    "/api/v1/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/api/v1/images/..%5c..%5cetc%5cpasswd/file",
    "/api/v1/images/..\\..\\etc\\passwd/file",
    "/api/v1/images/%252e%252e%252fetc%252fpasswd/file",
    "/api/v1/images/%00/file",
    "/docs/assets/../../../../../../etc/passwd",
    "/docs/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/docs/assets/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/docs/assets//etc/passwd",
]


def test_no_url_leads_out_of_the_storage(server: LiveServer) -> None:
    for path in TRAVERSALS:
        answer = ask(
            server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.1 404 "), path
        assert b"root:" not in answer


@pytest.mark.parametrize(
    "name",
    ["../../../evil.jpg", "..\\..\\evil.jpg", "/tmp/evil.jpg", "%2e%2e%2fevil.jpg"],  # noqa: S108
)
def test_no_file_name_leads_out_of_the_storage(
    server: LiveServer, settings: Settings, stored_files: StoredFiles, name: str
) -> None:
    header = f'Content-Disposition: form-data; name="file"; filename="{name}"'.encode()
    body = form(raw_part(JPEG, header))
    with server.connect() as client:
        client.sendall(head(UPLOAD, f"Content-Length: {len(body)}", "Connection: close") + body)
        answer = read_to_end(client)
    assert answer.startswith(b"HTTP/1.1 201 ")
    (stored,) = stored_files()
    assert "evil" not in stored.name
    assert not list(settings.data_dir.parent.rglob("*evil*"))


def test_an_upload_over_the_limit_never_writes_more_than_the_limit(
    server: LiveServer,
    settings: Settings,
    stored_files: StoredFiles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[int] = []
    remove = Path.unlink

    def measure_and_remove(path: Path, missing_ok: bool = False) -> None:  # noqa: FBT002
        if path.parent.name == "staging" and path.exists():
            written.append(path.stat().st_size)
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", measure_and_remove)
    content = samples.sized_jpeg(MAX_UPLOAD_BYTES + FORM_ALLOWANCE // 2)
    response = httpx.post(f"{server.url}{UPLOAD}", files={"file": content})
    assert response.status_code == 413
    assert written, "the staging file was seen when it was removed"
    assert BLOCK < max(written) <= MAX_UPLOAD_BYTES
    assert_nothing_stored(server, stored_files)


def test_an_endless_body_is_cut_off_at_the_limit(
    server: LiveServer, stored_files: StoredFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{LIMITS}.LINGER_SECONDS", 0.2)
    begin = form(part(JPEG, "other"))[:-4]  # read over, so only the body's size can stop it
    block = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    sent = 0
    with server.connect() as client:
        client.sendall(UPLOAD_CHUNKED + b"%x\r\n%s\r\n" % (len(begin), begin))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                client.sendall(block)
                sent += len(block)
                assert sent < 1024 * MAX_UPLOAD_BYTES
    assert_nothing_stored(server, stored_files)


def test_10000_files_in_a_batch_store_none(server: LiveServer, stored_files: StoredFiles) -> None:
    body = form(*[part(JPEG[:64], "files") for _ in range(10_000)])
    answer = ask(server, head(BATCH, f"Content-Length: {len(body)}") + body)
    assert read_problem(answer) == (400, "too-many-files")
    assert_nothing_stored(server, stored_files)


def test_a_nested_form_is_not_parsed(server: LiveServer, stored_files: StoredFiles) -> None:
    """RFC 7578, section 4.3, has deprecated multipart/mixed within a form."""
    inner = form(part(JPEG)).replace(BOUNDARY.encode(), b"inner")
    mixed = b"Content-Type: multipart/mixed; boundary=inner"
    disposition = b'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    body = form(raw_part(inner, disposition, mixed))
    answer = ask(server, head(UPLOAD, f"Content-Length: {len(body)}") + body)
    assert b'"/problems#invalid-file-type"' in answer
    longer = form(raw_part(b"--" + BOUNDARY.encode() + b"-- no end\r\n" + JPEG, disposition))
    answer = ask(server, head(UPLOAD, f"Content-Length: {len(longer)}") + longer)
    assert answer.startswith(b"HTTP/1.1 4")
    assert_nothing_stored(server, stored_files)


SCRIPT = (
    "try{document.title='RAN'}catch(e){}"
    "try{parent.document.title='RAN';top.document.title='RAN'}catch(e){}"
)
HTML = f"<!doctype html><html><body><script>{SCRIPT}</script></body></html>".encode()
SVG = f'<svg xmlns="http://www.w3.org/2000/svg"><script>{SCRIPT}</script></svg>'.encode()
PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"
POLYGLOTS = {
    "HTML after PNG's signature": PNG_START + HTML,
    "HTML after JPEG's marker": JPEG_START + HTML,
    "SVG after PNG's signature": PNG_START + SVG,
    "SVG after JPEG's marker": JPEG_START + SVG,
    # As a script: bytes of a name, in Latin-1, that is given a value, then a comment.
    "a script in a JPEG": JPEG_START + b"=0;" + SCRIPT.encode() + b"//",
    "HTML in a comment of a real JPEG": JPEG[:2]
    + b"\xff\xfe"
    + (len(HTML) + 2).to_bytes(2, "big")
    + HTML
    + JPEG[2:],
}
PAGES = {
    "frame": '<iframe src="{url}"></iframe>',
    "object": '<object data="{url}"></object><embed src="{url}">',
    "script": '<script src="{url}" charset="latin1"></script>',
    "module": '<script type="module" src="{url}"></script>',
    "image": '<img src="{url}">',
}


def show_in_browser(url: str, folder: Path) -> str:
    run = subprocess.run(  # noqa: S603 - our own arguments
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={folder}", "--virtual-time-budget=3000", url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"HOME": str(folder)},
    )
    return run.stdout


@needs_chromium
def test_no_image_runs_a_script_in_a_browser(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings)
    pages: dict[str, str] = {}

    @app.get("/try/{name}")
    async def page(name: str) -> HTMLResponse:
        return HTMLResponse(pages[name])

    @app.get("/raw/{name}")
    async def raw(name: str) -> Response:
        """Send a polyglot as a careless host would."""
        kind = "text/javascript" if name.endswith("js") else "text/html"
        return Response(POLYGLOTS[list(POLYGLOTS)[int(name[0])]], headers={"content-type": kind})

    with serve(app) as server:
        # The harness sees a script that runs: opened, in a frame, and as a script.
        pages["frame"] = PAGES["frame"].format(url="/raw/0.html")
        pages["script"] = '<script src="/raw/4.js" charset="latin1"></script>'
        for path in ("/raw/0.html", "/try/frame", "/try/script"):
            assert "<title>RAN</title>" in show_in_browser(server.url + path, tmp_path / "browser")

        urls = []
        for case, content in POLYGLOTS.items():
            response = httpx.post(f"{server.url}{UPLOAD}", files={"file": content})
            assert response.status_code == 201, case
            urls.append(url := response.json()["url"])
            assert "RAN" not in show_in_browser(url, tmp_path / "browser").replace(SCRIPT, ""), case
        pages["all"] = "<!doctype html><title>calm</title>" + "".join(
            text.format(url=url) for url in urls for text in PAGES.values()
        )
        shown = show_in_browser(f"{server.url}/try/all", tmp_path / "browser")
        assert "<title>calm</title>" in shown


def test_a_response_without_a_body_arrives_like_any_other(server: LiveServer) -> None:
    """The head of an answer waits for its body, and for nothing else; the connection goes on."""
    image = httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG}).json()
    path = image["url"].removeprefix(server.url)
    asked = [
        ("HEAD", "", b"200"),
        ("GET", 'If-None-Match: "x"\r\n', b"200"),
        ("GET", "If-None-Match: *\r\n", b"304"),
        ("GET", f"Range: bytes={len(JPEG)}-\r\n", b"416"),
        ("HEAD", "If-None-Match: *\r\n", b"304"),
    ]
    with server.connect() as client:
        for method, field, status in asked:
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n".encode())
            head, _, body = read_answer(client, has_body=method == "GET" and status != b"304")
            assert head.split()[1] == status, head
            assert body == JPEG if method == "GET" and status == b"200" else len(body) < len(JPEG)


def read_answer(client: socket.socket, *, has_body: bool) -> tuple[bytes, bytes, bytes]:
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(65536)
    head, separator, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while has_body and length and len(body) < int(length[1]):
        body += client.recv(65536)
    return head, separator, body


def test_head_and_body_of_a_response_are_one_packet(server: LiveServer) -> None:
    with server.connect() as client:
        for _ in range(3):
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(65536).endswith(b"}")


def test_bytes_of_an_image_that_look_like_a_response_are_never_taken_for_one(
    server: LiveServer,
) -> None:
    forged = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<script>"
    )
    image = httpx.post(f"{server.url}{UPLOAD}", files={"file": JPEG + forged}).json()
    path = image["url"].removeprefix(server.url)
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes={len(JPEG)}-\r\n\r\n"
    answer = ask(server, request.encode())
    assert answer.startswith(b"HTTP/1.1 206 ")
    assert answer.partition(b"\r\n\r\n")[2] == forged


def test_a_head_does_not_wait_for_a_body_that_is_late(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HEAD with a body of its own that does not come: the answer is there all the same."""
    monkeypatch.setattr(f"{LIMITS}.LINGER_SECONDS", 2 * TIMEOUT)
    with server.connect() as client:
        client.sendall(b"HEAD /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("host", ['evil.example/x>; rel="next", <http://a', "a b", "a/b", "@"])
def test_an_invalid_host_is_not_echoed(settings: Settings, host: str) -> None:
    behind_a_proxy = settings.model_copy(update={"trusted_proxies": (ip_network("192.0.2.1"),)})
    body = form(part(JPEG))
    head = (
        f"POST {UPLOAD} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with serve(create_app(behind_a_proxy)) as server:
        answer = ask(server, head.encode() + body)
    assert host.encode() not in answer
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 201 "))
