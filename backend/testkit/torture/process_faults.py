"""Faults of the processes of a service, of its database and its disk."""

import time
from collections.abc import Callable
from random import Random
from typing import Final

import psutil

from testkit.torture.book import require
from testkit.torture.processes import children, kill, stop
from testkit.torture.service import TIMEOUT, Service

PUBLISH_SECONDS: Final = 0.1
"""About how long a worker needs for the files and the row of an image that is rendered."""


class ProcessFaults:
    """Kills and stops of the service's own processes, its database and its disk.

    Args:
        service: Whose processes.
        chance: Chooses.
    """

    def __init__(self, service: Service, chance: Random) -> None:
        self._service = service
        self._chance = chance
        self.kills = [
            self.kill_a_server_process,
            self.kill_all_server_processes,
            self.kill_service,
            self.kill_database,
            self.kill_everything,
            *(self.kill_a_worker, self.kill_a_renderer) * 3,
            *([] if service.store else [self.kill_a_writer]),
        ]
        self.stops = [
            self.stop_a_server_process,
            self.stop_a_worker,
            self.stop_a_renderer,
            self.stop_database,
            *([] if service.store else [self.stop_a_writer]),
            *([self.hang_disk] if service.disk else []),
        ]

    def kill_a_server_process(self) -> None:
        """Its supervisor starts another."""
        kill(self._one_of(self._service.servers))

    def kill_a_writer(self) -> None:
        """Its server process or worker starts another."""
        kill(self._one_of(self._service.writers))

    def kill_all_server_processes(self) -> None:
        """Their supervisor starts others."""
        kill(*self._service.servers())

    def kill_a_worker(self) -> None:
        """Its supervisor starts another, which takes up what it was rendering or publishing."""
        worker = self._one_of(self._service.busy_workers)
        time.sleep(self._chance.uniform(0, PUBLISH_SECONDS))
        kill(worker)

    def kill_a_renderer(self) -> None:
        """Its worker starts another."""
        kill(self._one_of(self._service.busy_renderers))

    def kill_service(self) -> None:
        """Its workers end by themselves, beside the next service."""
        self._kill_service(with_workers=False)
        self._service.start()

    def kill_database(self) -> None:
        """The service goes on, as soon as the database is there again."""
        kill(self._service.database)
        self._service.start_database()

    def kill_everything(self) -> None:
        """Let all begin anew, as after a loss of power."""
        self._kill_service(with_workers=True)
        self.kill_database()
        self._service.start()

    def stop_a_server_process(self, seconds: float) -> None:
        """Its supervisor may take it for dead, and start another."""
        stop([self._one_of(self._service.servers)], seconds)

    def stop_a_writer(self, seconds: float) -> None:
        """Its parent may give it up, and start another."""
        stop([self._one_of(self._service.writers)], seconds)

    def stop_a_worker(self, seconds: float) -> None:
        """Its jobs may be taken up by another; its supervisor may take it for dead."""
        stop([self._one_of(self._service.busy_workers)], seconds)

    def stop_a_renderer(self, seconds: float) -> None:
        """Its worker may give it up, and start another."""
        stop([self._one_of(self._service.busy_renderers)], seconds)

    def stop_database(self, seconds: float) -> None:
        """Let all that asks it wait."""
        server = self._service.database
        stop([server, *children(server)], seconds)

    def hang_disk(self, seconds: float) -> None:
        """Let all that writes files wait."""
        assert self._service.disk
        with self._service.disk.frozen():
            time.sleep(seconds)

    def _kill_service(self, *, with_workers: bool) -> None:
        family = [self._service.main, *self._service.servers()]
        if with_workers:
            family += self._service.workers()
        kill(*family)
        psutil.wait_procs(family, TIMEOUT)

    def _one_of(self, find: Callable[[], list[psutil.Process]]) -> psutil.Process:
        """Choose one of some processes, as soon as there are any."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := find()):
            require(time.monotonic() < deadline, f"there are no {find.__name__}")
            time.sleep(0.01)
        return self._chance.choice(found)
