"""nginx in front of the service, as `make front` runs it."""

import subprocess
import sys
from pathlib import Path

import httpx
import psutil

from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.torture.processes import children, kill


class Front:
    """The proxy of a service; its log is in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = lasting_port()
        self._folder = folder
        self._environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        """Return what the service is to know of it."""
        return {
            "FRONT": "nginx",
            "FRONT_PORT": str(self.port),
            "TRUSTED_PROXIES": "127.0.0.1",
        }

    def open(self, environment: dict[str, str]) -> None:
        """Start it with the settings of the service."""
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "front.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "front"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._answers)

    def processes(self) -> list[psutil.Process]:
        """List its processes, the first one first."""
        assert self._process
        first = psutil.Process(self._process.pid)
        return [first, *children(first)]

    def kill(self) -> None:
        """End all its processes as `kill -9` does."""
        family = self.processes()
        kill(*family)
        psutil.wait_procs(family, TIMEOUT)

    def close(self) -> None:
        """Stop it, if it runs."""
        if self._process:
            self._process.terminate()
            self._process.wait(TIMEOUT)

    def _answers(self) -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{self.port}/", timeout=1)
        except httpx.TransportError:
            return False
        return True
