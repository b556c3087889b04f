"""Programs that serve in the background, which tests kill, stop and start again."""

import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom

from testkit.live import TIMEOUT

_random = SystemRandom()


class Daemon:
    """One program in the foreground.

    Args:
        command: What starts it.
        output: The file that takes what it prints.
    """

    def __init__(self, command: Sequence[str], output: Path) -> None:
        self._command = command
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, or start it again."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """End it as `kill -9` does, if it runs."""
        if self._process:
            self._process.kill()
            self._process.wait(TIMEOUT)

    def stop(self) -> None:
        """Let it hang: its connections stay open, and nothing is answered."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let it hang during the block."""
        self.stop()
        try:
            yield
        finally:
            self.resume()


def lasting_port() -> int:
    """Return a free port that stays free while nothing listens: nobody else is given it.

    The system gives away none below its own range. There a socket can be bound without
    SO_REUSEADDR only to a port that no other has. Set from then on, as servers set it, it lets one
    of them listen, and refuses other calls of this function, in any process (Linux, socket(7)).
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = _random.randrange(10_000, lowest)
        reserving = socket.socket()
        try:
            reserving.bind(("127.0.0.1", port))
        except OSError:
            reserving.close()
            continue
        reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserving.detach()  # it stays open until this process ends
        return port
