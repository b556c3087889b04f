"""The benchmark fails rather than measure something else."""

import json
import socket
import threading
import time
from functools import partial
from io import BytesIO
from random import Random
from typing import Any

import PIL.Image
import pytest

from app.imaging.formats import detect
from bench import report
from bench.images import DISTINCT_FILES, typical_specs
from bench.servers import Server
from bench.streams import uploading
from bench.work import Comparison
from bench.wrk import BenchmarkFailed, Load, judge

RESULT = {
    "requests": 1000,
    "microseconds": 2_000_000,
    "bytes": 1000 * 42_300,
    "p50": 900,
    "p99": 4100,
    "connect": 0,
    "read": 0,
    "write": 0,
    "status": 0,
    "timeout": 0,
}
LOAD = Load("http://127.0.0.1/", answer_bytes=range(42_000, 84_000))
SAMPLES = {
    "service": [{"req/s": 290.0}, {"req/s": 310.0}, {"req/s": 900.0}],
    "usual way": [{"req/s": 100.0}, {"req/s": 99.0}, {"req/s": 5.0}],
}


def output(**changes: Any) -> str:
    return f"Running 2s test\nRESULT {json.dumps(RESULT | changes)}\n"


def test_what_wrk_saw_is_read_in_seconds_and_milliseconds() -> None:
    seen = judge(LOAD, output())
    assert (seen.rate, seen.p50, seen.p99) == (500, 0.9, 4.1)


@pytest.mark.parametrize("kind", ["connect", "read", "write", "status", "timeout"])
def test_a_single_error_fails_the_run(kind: str) -> None:
    with pytest.raises(BenchmarkFailed, match=kind):
        judge(LOAD, output(**{kind: 1}))


def test_answers_that_are_not_whole_fail_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="300 bytes"):
        judge(LOAD, output(bytes=300 * 1000))


def test_a_server_that_answers_nothing_fails_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="nothing"):
        judge(LOAD, output(requests=0))
    with pytest.raises(BenchmarkFailed, match="unable to connect"):
        judge(LOAD, "unable to connect to 127.0.0.1:1 Connection refused")


def test_an_upload_that_fails_beside_the_downloads_fails_the_run() -> None:
    nobody = Server("http://127.0.0.1:1", pid=0, start_seconds=0)
    with (
        pytest.raises(BenchmarkFailed, match="an upload beside the downloads failed"),
        uploading(nobody, b"body", "text/plain", clients=2, bytes_per_second=1_000),
    ):
        pass


def test_uploads_that_are_slower_than_promised_fail_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as port:

        def take() -> None:
            """Take one upload after the other, until a client comes that sends nothing."""
            while True:
                client, _ = port.accept()
                with client:
                    while b"body" not in (received := client.recv(1000)):
                        if not received:
                            return
                    time.sleep(0.2)
                    client.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=take)
        thread.start()
        server = Server(f"http://127.0.0.1:{port.getsockname()[1]}", pid=0, start_seconds=0)
        with (
            pytest.raises(BenchmarkFailed, match="MB/s instead of"),
            uploading(server, b"body", "text/plain", clients=1, bytes_per_second=1_000_000_000),
        ):
            time.sleep(0.1)
        socket.create_connection(port.getsockname()).close()
        thread.join()


def test_a_ratio_is_that_of_the_medians() -> None:
    compare = partial(Comparison, "service", "usual way")
    assert report.ratio(compare(), SAMPLES) == pytest.approx(310 / 99)
    assert report.is_reached(compare(), SAMPLES) is None
    assert report.is_reached(compare(at_least=3.1), SAMPLES)
    assert not report.is_reached(compare(at_least=3.2), SAMPLES)
    assert report.is_reached(compare(at_most=3.2), SAMPLES)
    assert not report.is_reached(compare(at_most=3.1), SAMPLES)


def test_images_have_their_size_and_type() -> None:
    chance = Random(1)  # noqa: S311 - for variety
    specs = typical_specs(chance)
    assert len(specs) == DISTINCT_FILES
    for spec in specs:
        content = spec.content(chance)
        assert len(content) == spec.size
        assert detect(content) is spec.image_type
        assert PIL.Image.open(BytesIO(content)).size == (spec.edge, spec.edge)
