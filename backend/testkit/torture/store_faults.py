"""Faults of the store that keeps the images."""

import time
from random import Random
from typing import Final

from testkit.ceph import Ceph

AWAY_SECONDS: Final = (0.0, 2.5)
"""From nothing to more than a request is tried again for."""


class StoreFaults:
    """Kills and stops of Ceph.

    Args:
        store: What runs it, with objects on disk.
        chance: Chooses.
    """

    def __init__(self, store: Ceph, chance: Random) -> None:
        self._store = store
        self._chance = chance
        self.kills = [*(self.kill_gateway, self.kill_osd) * 3, self.kill_store]
        self.stops = [self.stop_gateway, self.stop_osd]

    def kill_gateway(self) -> None:
        """Break every request at any moment, and refuse connections for a time."""
        self._store.gateway.kill()
        self._wait()
        self._store.start_gateway()

    def kill_osd(self) -> None:
        """Let the gateway wait with what it was writing, and what it is asked to read."""
        self._store.osd.kill()
        self._wait()
        self._store.osd.start()

    def kill_store(self) -> None:
        """Let gateway and OSD begin anew, as after a loss of power."""
        self._store.gateway.kill()
        self._store.osd.kill()
        self._wait()
        self._store.osd.start()
        self._store.start_gateway()

    def stop_gateway(self, seconds: float) -> None:
        """Let all that ask it wait; then it carries out what they asked."""
        with self._store.gateway.stopped():
            time.sleep(seconds)

    def stop_osd(self, seconds: float) -> None:
        """Let the gateway itself wait."""
        with self._store.osd.stopped():
            time.sleep(seconds)

    def _wait(self) -> None:
        time.sleep(self._chance.uniform(*AWAY_SECONDS))
