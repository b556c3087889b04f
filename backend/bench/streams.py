"""Clients that upload or download large files all the time, each as fast as its line."""

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from app.api.images.paths import UPLOAD_PATH
from bench.servers import Server
from bench.wrk import BenchmarkFailed

_PIECE: Final = 64 * 1024
"""Bytes that a client sends at once."""
_TIMEOUT: Final = 60.0
_LEAST: Final = 0.9
"""Of the promised bytes a second; with less, something else is measured."""


@contextmanager
def uploading(
    server: Server, body: bytes, content_type: str, *, clients: int, bytes_per_second: int
) -> Iterator[None]:
    """Upload a form from `clients` clients, over and over, until the block ends.

    Each begins at a moment of its own, so that they do not all end at once.

    Raises:
        BenchmarkFailed: If an upload failed, or all together were slower than promised.
    """
    stop = threading.Event()
    sent = [0] * clients
    seconds = len(body) / bytes_per_second

    def upload(number: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_TIMEOUT)
        connection.putrequest("POST", UPLOAD_PATH)
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        begin = time.monotonic()
        for start in range(0, len(body), _PIECE):
            time.sleep(max(0.0, begin + start / bytes_per_second - time.monotonic()))
            piece = body[start : start + _PIECE]
            connection.send(piece)
            sent[number] += len(piece)
        status = connection.getresponse().status
        connection.close()
        if status != http.client.CREATED:
            raise BenchmarkFailed(f"an upload was answered {status}")

    def client(number: int) -> None:
        stop.wait(seconds * number / clients)
        while not stop.is_set():
            upload(number)

    pool = ThreadPoolExecutor(clients)
    working = [pool.submit(client, number) for number in range(clients)]
    try:
        stop.wait(seconds)
        before, begin = sum(sent), time.monotonic()
        yield
        rate = (sum(sent) - before) / (time.monotonic() - begin)
    finally:
        stop.set()
        pool.shutdown()
    try:
        for work in working:
            work.result()
    except (OSError, http.client.HTTPException) as error:
        raise BenchmarkFailed(f"an upload beside the downloads failed: {error!r}") from error
    promised = clients * bytes_per_second
    if rate < _LEAST * promised:
        raise BenchmarkFailed(
            f"uploads came with {rate / 1e6:.1f} MB/s instead of {promised / 1e6:.0f}"
        )


@contextmanager
def downloading(url: str, *, clients: int, bytes_per_second: int) -> Iterator[None]:
    """Download a file with `clients` clients, over and over, until the block ends.

    Raises:
        BenchmarkFailed: If a download failed, or all together were slower than promised.
    """
    stop = threading.Event()
    taken = [0] * clients
    address = urlsplit(url)

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT)
        stop.wait(number / clients)
        while not stop.is_set():
            connection.request("GET", address.path)
            response = connection.getresponse()
            begin, count = time.monotonic(), 0
            while piece := response.read(_PIECE):
                count += len(piece)
                taken[number] += len(piece)
                time.sleep(max(0.0, begin + count / bytes_per_second - time.monotonic()))
        connection.close()

    pool = ThreadPoolExecutor(clients)
    working = [pool.submit(client, number) for number in range(clients)]
    try:
        stop.wait(1)
        before, begin = sum(taken), time.monotonic()
        yield
        rate = (sum(taken) - before) / (time.monotonic() - begin)
    finally:
        stop.set()
        pool.shutdown()
    for work in working:
        work.result()
    promised = clients * bytes_per_second
    if rate < _LEAST * promised:
        raise BenchmarkFailed(
            f"downloads came with {rate / 1e6:.1f} MB/s instead of {promised / 1e6:.0f}"
        )
