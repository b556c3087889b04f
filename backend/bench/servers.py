"""The servers that are measured: the real service, the references, nginx. Loopback only."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from sqlalchemy.engine import URL

from bench.wrk import BenchmarkFailed
from testkit.daemons import lasting_port

BACKEND: Final = Path(__file__).parents[1]
TIMEOUT: Final = 60.0
"""Seconds for a server to start or to stop."""

_NOTHING_RENDERED: Final = {"THUMBNAIL_SIZES": "none", "WORKER_PROCESSES": "0"}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    pid: int
    start_seconds: float
    """From the command to the first answer that it could give."""


@contextmanager
def service(data_dir: Path, *, renders: bool = False, **settings: str) -> Iterator[Server]:
    """Run the service as `make run` does, over its embedded database.

    All it prints, its access log too, goes to the file service.log beside the folder.

    Args:
        data_dir: Its folder.
        renders: Whether it has thumbnails and a worker, as by default; the usual way has not.
        settings: Others, by the name of their variable.
    """
    log = data_dir.with_suffix(".log")
    environment = {"PORT": "0", "DATA_DIR": str(data_dir), **settings}
    if not renders:
        environment |= _NOTHING_RENDERED
    with _process([sys.executable, "-m", "app"], log, environment) as (process, begin):

        def address() -> str:
            found = re.search(r"^Image host: (.*)$", log.read_text(), re.MULTILINE)
            return found[1] if found else ""

        yield _when_ready(process, begin, log, address, "/health/ready")


@contextmanager
def references(folder: Path, database_url: URL) -> Iterator[Server]:
    """Run `bench.references` in one worker, which keeps its uploads in `folder`."""
    environment = {"DATABASE_URL": database_url.render_as_string()}
    with _uvicorn("bench.references:app", folder, environment) as server:
        yield server


@contextmanager
def bare_upload(folder: Path) -> Iterator[Server]:
    """Run `bench.bare_upload` in one worker, which keeps its uploads in `folder`."""
    with _uvicorn("bench.bare_upload:app", folder, {}) as server:
        yield server


@contextmanager
def nginx(folder: Path, images: Path, processes: str = "") -> Iterator[Server]:
    """Run nginx: files below `images` by sendfile, and PUT into `folder`.

    Args:
        folder: Where all it writes is.
        images: What it serves.
        processes: How many serve, as nginx takes it; by default one, without another beside it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    port = lasting_port()
    # As whoever measures, for the files are readable by none but their owner.
    several = f"worker_processes {processes}; user {pwd.getpwuid(os.getuid()).pw_name};"
    scratch = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off;
{several if processes else "master_process off;"}
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    {scratch}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{ root {images}; }}
        location /put/ {{ root {folder}; dav_methods PUT; create_full_put_path on; }}
    }}
}}
""")
    with _process(["nginx", "-c", str(config)], log, {}) as (process, begin):
        (images / "ready").touch()
        yield _when_ready(process, begin, log, lambda: f"http://127.0.0.1:{port}", "/ready")


def has_nginx() -> bool:
    """Return whether nginx is there to be measured."""
    return shutil.which("nginx") is not None


@contextmanager
def _uvicorn(app: str, folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """Run an application of `bench` that keeps its uploads in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    port = lasting_port()
    command = [
        *(sys.executable, "-m", "uvicorn", app, f"--port={port}"),
        *("--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"),
        *("--no-proxy-headers", "--no-server-header"),
    ]
    with _process(command, log, {"FOLDER": str(folder), **environment}) as (process, begin):
        yield _when_ready(process, begin, log, lambda: f"http://127.0.0.1:{port}", "/bare")


@contextmanager
def _process(
    command: list[str], log: Path, environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Run a program with nothing of the developer's own settings, and stop it at the end."""
    begin = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, begin
    finally:
        process.terminate()
        try:
            process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _when_ready(
    process: subprocess.Popen[bytes],
    begin: float,
    log: Path,
    address: Callable[[], str],
    path: str,
) -> Server:
    while process.poll() is None and time.perf_counter() < begin + TIMEOUT:
        url = address()
        if url and _answers(url + path):
            return Server(url, process.pid, time.perf_counter() - begin)
        time.sleep(0.01)
    raise BenchmarkFailed(f"A server did not start:\n{log.read_text()[-2000:]}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=TIMEOUT).is_success
    except httpx.TransportError:
        return False
