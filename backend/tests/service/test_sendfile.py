"""Large files, which go from the page cache to the client: the answers are those of other files."""

import errno
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.storage.local.file_reader import READ_BLOCK, FileReader, can_read_cached
from testkit import samples
from testkit.descriptors import open_files_below
from testkit.disks import disk_that_freezes
from testkit.live import LiveServer, serve, wait_until
from testkit.logs import Log, logging_to
from testkit.problems import assert_problem
from testkit.sockets import UPLOAD, ask, read_to_end

SIZE = 3 * 1024 * 1024
CHANGES = re.compile(rb"(?i)\r\n(date|x-request-id): [^\r]*")
"""Fields of an answer that no other one has."""

with_sendfile = pytest.mark.parametrize("loop", ["uvloop", "asyncio"], indirect=True)


@dataclass
class Image:
    server: LiveServer
    content: bytes
    file: Path
    path: str
    sent: list[int] = field(default_factory=list)
    """Bytes by each call of sendfile."""

    def request(self, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
        lines = [f"{method} {self.path} HTTP/{version}", "Host: localhost", *fields, "", ""]
        return "\r\n".join(lines).encode()

    def ask(self, *requests: bytes) -> bytes:
        """Send requests at once, and return all that comes back until the server closes."""
        return ask(self.server, b"".join(requests))


@pytest.fixture
def host(
    loop: Literal["uvloop", "asyncio"], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Image]:
    """Serve an image that lies in the page cache."""
    with hosted(settings, loop) as image:
        sendfile = os.sendfile

        def count(*arguments: int) -> int:
            image.sent.append(sendfile(*arguments))
            return image.sent[-1]

        monkeypatch.setattr(os, "sendfile", count)
        yield image


@contextmanager
def hosted(settings: Settings, loop: Literal["uvloop", "asyncio"]) -> Iterator[Image]:
    large = settings.model_copy(update={"max_upload_bytes": SIZE})
    content = samples.sized_jpeg(SIZE - 4) + os.urandom(4)
    with serve(create_app(large), loop=loop) as server:
        answer = httpx.post(f"{server.url}{UPLOAD}", files={"file": content}).json()
        file = settings.data_dir / "images" / answer["storage_key"][:2] / answer["storage_key"]
        httpx.get(answer["url"])  # read from the disk, past whose cache it was written
        wait_until(lambda: not server.state.connections)  # and logged
        yield Image(server, content, file, httpx.URL(answer["url"]).path)


def assert_names_the_file(log: Log, host: Image, words: str) -> None:
    """Make sure that the log says in one line why a file was not sent to its end."""
    [answered] = [line for line in log.lines if line.get("path") == host.path]
    [line] = log.of_request(answered["request_id"])
    assert line["message"].startswith("storage-unavailable: ")
    assert words in line["message"]
    assert "trace" not in line


@pytest.fixture
def in_page_cache(host: Image) -> Image:
    if not can_read_cached(str(host.file)):
        pytest.skip("this filesystem does not report what is in the page cache")
    return host


def test_a_large_file_and_its_ranges_have_the_bytes_that_are_stored(host: Image) -> None:
    for fields, start, end in (
        ((), 0, SIZE),
        (("Range: bytes=0-1000000",), 0, 1_000_001),
        (("Range: bytes=1000001-2000000",), 1_000_001, 2_000_001),
        (("Range: bytes=-1500001",), SIZE - 1_500_001, SIZE),
        (("Range: bytes=5-",), 5, SIZE),
        (("Range: bytes=7-7",), 7, 8),
    ):
        head, _, body = host.ask(host.request(*fields)).partition(b"\r\n\r\n")
        assert body == host.content[start:end]
        assert b"\r\ncontent-length: %d\r\n" % (end - start) in head
        assert head.startswith(b"HTTP/1.1 206 " if fields else b"HTTP/1.1 200 ")


def test_the_head_is_the_same_with_and_without_sendfile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    with hosted(settings, "uvloop") as image:
        for method, *fields in (
            ("GET",),
            ("HEAD",),
            ("GET", "Range: bytes=100-1999999"),
            ("GET", "Range: bytes=9000000-"),
            ("GET", f'If-None-Match: "{image.file.stem}"'),
        ):
            request = image.request(*fields, method=method)
            answer = image.ask(request)
            with monkeypatch.context() as patch:
                patch.setattr(FileReader, "take_cached", lambda _reader: None)
                without = image.ask(request)
            heads.append(answer.partition(b"\r\n\r\n")[0])
            assert CHANGES.sub(b"", answer) == CHANGES.sub(b"", without)
    assert [head[9:12] for head in heads] == [b"200", b"200", b"206", b"416", b"304"]


@with_sendfile
def test_what_is_in_the_page_cache_goes_from_there_to_the_socket(in_page_cache: Image) -> None:
    host = in_page_cache
    assert host.ask(host.request()).endswith(host.content[-4:])
    assert sum(host.sent) > 0.8 * SIZE
    host.sent.clear()
    host.ask(host.request("Range: bytes=1000000-2000000"))
    assert sum(host.sent) > 0.8 * 1_000_000


@with_sendfile
def test_what_fits_into_a_block_is_sent_as_before(in_page_cache: Image) -> None:
    host = in_page_cache
    host.ask(host.request(f"Range: bytes=0-{READ_BLOCK - 1}"))
    assert not host.sent
    host.ask(host.request(method="HEAD"))
    assert not host.sent


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_large_files_follow_one_another_on_a_connection(host: Image, version: str) -> None:
    part = host.request("Range: bytes=10-1000009", "Connection: keep-alive", version=version)
    answer = host.ask(part * 3 if version == "1.1" else part)
    bodies = answer.split(b"HTTP/1.1 206 ")[1:]
    assert len(bodies) == (3 if version == "1.1" else 1)
    for body in bodies:
        assert body.partition(b"\r\n\r\n")[2] == host.content[10:1_000_010]


def test_a_client_that_leaves_ends_the_sending_and_the_log_has_what_was_sent(
    host: Image, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.clear()
    with host.server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(host.request())
        assert client.recv(1000)
    wait_until(lambda: not host.server.state.connections)
    wait_until(lambda: not open_files_below(settings.data_dir))
    wait_until(lambda: logged_requests(caplog))
    (line,) = logged_requests(caplog)
    assert line["status"] == 200
    assert 0 < line["bytes"] <= SIZE
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_connection_and_is_named_in_the_log(
    host: Image, settings: Settings
) -> None:
    with logging_to() as log, host.server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(host.request())
        taken = client.recv(1000)
        os.truncate(host.file, SIZE // 2)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
        with suppress(ConnectionResetError):
            taken += read_to_end(client)
        wait_until(lambda: not open_files_below(settings.data_dir))
    assert len(taken) < SIZE
    assert_names_the_file(log, host, f"EOFError: {host.file} is shorter than it was")


def test_a_disk_that_breaks_while_a_file_is_sent_ends_the_connection_and_nothing_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = []
    sendfile = os.sendfile

    def note(*arguments: int) -> int:
        try:
            return sendfile(*arguments)
        except OSError as error:
            failed.append(error.errno)
            raise

    monkeypatch.setattr(os, "sendfile", note)
    with disk_that_freezes(tmp_path) as disk:
        on_disk = settings.model_copy(update={"data_dir": disk.folder})
        with hosted(on_disk, "uvloop") as host:
            if not can_read_cached(str(host.file)):
                pytest.skip("this filesystem does not report what is in the page cache")
            with logging_to() as log, host.server.connect() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.sendall(host.request())
                taken = client.recv(1000)
                disk.break_down()
                with host.file.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024 * 1024)
                with suppress(ConnectionResetError):
                    taken += read_to_end(client)
                wait_until(lambda: not open_files_below(disk.folder))
            assert_names_the_file(log, host, f"(EIO): {host.file}; ")
            body = taken.partition(b"\r\n\r\n")[2]
            assert len(body) < SIZE
            assert host.content.startswith(body)
            assert errno.EIO in failed
            assert httpx.get(f"{host.server.url}/health/live").is_success
            end = {"Range": "bytes=-1000000"}
            answer = httpx.get(f"{host.server.url}{host.path}", headers=end)
            assert_problem(answer, 503, "storage-unavailable")


def test_the_access_log_counts_all_bytes_of_a_large_file(
    host: Image, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    host.ask(host.request("Range: bytes=0-1999999"))
    host.ask(host.request(method="HEAD"))
    wait_until(lambda: len(logged_requests(caplog)) == 2)  # a line is written after its answer
    assert [line["bytes"] for line in logged_requests(caplog)] == [2_000_000, 0]


def logged_requests(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record) for record in caplog.records if record.name.endswith("access_log")]
