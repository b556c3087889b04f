"""How much memory a service takes for uploads that arrive at once."""

import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Final
from urllib.parse import urlsplit

import psutil

from app.api.images.paths import UPLOAD_PATH
from bench.forms import form
from bench.images import ImageSpec
from bench.servers import Server
from bench.wrk import BenchmarkFailed

CLIENTS: Final = 32
_TIMEOUT: Final = 600


def peak_while_uploading(server: Server, spec: ImageSpec) -> float:
    """Upload an image `CLIENTS` times at once; return the peak RSS of the server in MiB.

    Peak of its whole life (VmHWM of Linux), so each measurement needs a server of its own. That of
    the process that writes its uploads is added; the memory that the two share is counted once.
    """
    body, content_type = form(spec.content(Random()))

    def upload(_: int) -> int:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_TIMEOUT)
        connection.request("POST", UPLOAD_PATH, body, {"Content-Type": content_type})
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = set(pool.map(upload, range(CLIENTS)))
    if statuses != {http.client.CREATED}:
        raise BenchmarkFailed(f"uploads were answered {statuses}")
    return peak_with_children(server.pid)


def peak_with_children(process: int) -> float:
    """Return the sum of the peaks of a process and its children, in MiB."""
    children = (child.pid for child in psutil.Process(process).children())
    own = (_kibibytes(child, "VmHWM") - _kibibytes(child, "RssShmem") for child in children)
    return (_kibibytes(process, "VmHWM") + sum(own)) / 1024


def _kibibytes(process: int, name: str) -> int:
    """Read a line of a process's status; what it shares stays in use once it has been used."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    if found is None:
        raise BenchmarkFailed("this system does not report the peak of a process's memory")
    return int(found[1])
