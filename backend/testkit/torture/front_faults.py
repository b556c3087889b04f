"""Faults of the proxy in front."""

from testkit.torture.front import Front
from testkit.torture.processes import stop


class FrontFaults:
    """Kills and stops of nginx.

    Args:
        front: What runs it.
    """

    def __init__(self, front: Front) -> None:
        self._front = front
        self.kills = [self.kill_nginx]
        self.stops = [self.stop_nginx]

    def kill_nginx(self) -> None:
        """Let it begin anew, with what it has on the disk."""
        self._front.kill()
        self._front.start()

    def stop_nginx(self, seconds: float) -> None:
        """Let its clients wait, and answers to it."""
        stop(self._front.processes(), seconds)
