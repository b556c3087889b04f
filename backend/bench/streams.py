"""Clients that upload large files all the time, each as fast as its line lets it."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from app.api.upload import UPLOAD_PATH
from bench.servers import Server
from bench.wrk import BenchmarkFailed

_PIECE: Final = 64 * 1024
"""Bytes that a client sends at once."""
_PATIENCE: Final = 60.0


@contextmanager
def uploading(
    server: Server, body: bytes, content_type: str, *, clients: int, bytes_per_second: int
) -> Iterator[None]:
    """Upload a form from `clients` clients, over and over, until the block ends.

    Each begins at a moment of its own, so that they do not all end at once.

    Raises:
        BenchmarkFailed: If an upload was not answered with 201.
    """
    stop = threading.Event()
    statuses: set[int] = set()
    seconds = len(body) / bytes_per_second

    def upload() -> None:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_PATIENCE)
        connection.putrequest("POST", UPLOAD_PATH)
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        begin = time.monotonic()
        for start in range(0, len(body), _PIECE):
            time.sleep(max(0.0, begin + start / bytes_per_second - time.monotonic()))
            connection.send(body[start : start + _PIECE])
        statuses.add(connection.getresponse().status)
        connection.close()

    def client(number: int) -> None:
        stop.wait(seconds * number / clients)
        while not stop.is_set():
            upload()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        stop.wait(seconds)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if statuses != {http.client.CREATED}:
        raise BenchmarkFailed(f"uploads were answered {statuses}")
