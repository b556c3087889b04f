"""The application behind a real socket, in a thread of the test process."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from app.observability.observer import SILENT, Observer
from app.server.http_protocol import bounded_protocol

TIMEOUT = 60.0
"""Seconds to wait for what is certain to happen, also on a slow machine."""

StoredFiles = Callable[[], list[Path]]


@dataclass(frozen=True)
class LiveServer:
    port: int
    state: ServerState

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT)


@contextmanager
def serve(
    app: FastAPI,
    max_connections: int = 10_000,
    loop: Literal["uvloop", "asyncio"] = "uvloop",
    host: str = "127.0.0.1",
    observer: Observer = SILENT,
) -> Iterator[LiveServer]:
    """Serve on a free port; on `::` for IPv4 too."""
    both = host == "::"
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        http=bounded_protocol(max_connections, observer),
        loop=loop,
        ws="none",
        timeout_keep_alive=int(TIMEOUT),  # or a slow machine finds connections closed
    )
    server = uvicorn.Server(config)
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=both) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            yield LiveServer(listener.getsockname()[1], server.server_state)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT)


def assert_nothing_stored(server: LiveServer, stored_files: StoredFiles) -> None:
    """Check that there is no image, and soon no file of one that was broken off."""
    wait_until(lambda: stored_files() == [])
    assert httpx.get(f"{server.url}/api/v1/images").json()["items"] == []


def wait_until(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    """Wait until something is true; fail if it is not within some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


async def until(condition: Callable[[], object]) -> None:
    """Do as `wait_until`, while the event loop goes on."""
    async with asyncio.timeout(TIMEOUT):
        while not condition():  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.01)
