"""A run: clients at work, one kill after the other, and checks between."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final

import httpx
from tqdm import tqdm

from testkit.disks import CannotMount, FrozenDisk, mounted_disk
from testkit.torture.book import Book, BrokenPromise
from testkit.torture.clients import Clients
from testkit.torture.faults import Faults
from testkit.torture.promises import Promises
from testkit.torture.service import TIMEOUT, Service
from testkit.torture.thumbnails import require_jobs

KILLS_BETWEEN_CHECKS: Final = 25
KILLS_BETWEEN_STOPS: Final = 10
CALM_SECONDS: Final = 5.0
PAUSES: Final = (0.3, 2.0, 20.0)
"""Seconds for which something is stopped, or hangs: less and more than anything waits for it."""
DISK_BYTES: Final = 4 * 1024**3
LOGGED: Final = {
    "jobs taken up after the end of their worker": " is taken up again: its worker ended",
    "attempts failed by the end of a renderer": "RenderingFailed: The process that renders ",
    "attempts failed by the deadline of rendering": "RenderingFailed: The image is not rendered",
    "attempts failed": "ended with status: Error",
    "jobs set aside": " is set aside after too many attempts",
}
"""What is counted in the service's log, by its words there."""


class Run:
    """Clients that work while processes die.

    Args:
        service: The service, as it is started.
        seed: Decides what happens.
        pauses: Seconds for which something is stopped.
    """

    def __init__(self, service: Service, seed: int, pauses: Sequence[float]) -> None:
        images = f"http://127.0.0.1:{service.port}/api/v1/images"
        self.book = Book()
        self._service = service
        self._chance, of_clients, of_faults = (Random(seed + n) for n in range(3))  # noqa: S311
        self._clients = Clients(images, self.book, of_clients)
        self._faults = Faults(service, of_faults, pauses)
        self._promises = Promises(service, images, self.book)

    async def run(self, kills: int, progress: Callable[[], object]) -> None:
        """Kill so many times; check every so often, and at last after a time without kills."""
        await self._recover()
        for done in range(0, kills, KILLS_BETWEEN_CHECKS):
            async with self._clients.at_work():
                for number in range(done, min(done + KILLS_BETWEEN_CHECKS, kills)):
                    await self._disturb(self._faults.kill)
                    if number % KILLS_BETWEEN_STOPS == 0:
                        await self._disturb(self._faults.stop)
                    progress()
            await self._promises.check()
            tqdm.write(f"{number + 1} kills; {self.book.count['images checked']} images checked")
        async with self._clients.at_work():
            await asyncio.sleep(CALM_SECONDS)
        await self._promises.check(undisturbed=True)
        log = self._service.log.read_text(errors="replace")
        self.book.count.update({name: log.count(words) for name, words in LOGGED.items()})

    async def _disturb(self, fault: Callable[[], str]) -> None:
        await asyncio.sleep(self._chance.uniform(0.02, 0.6))
        self.book.count[await asyncio.to_thread(fault)] += 1
        await self._recover()
        await require_jobs(self._service)

    async def _recover(self) -> None:
        """Wait until all is well again; the service must manage by itself."""
        deadline = time.monotonic() + TIMEOUT
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                try:
                    url = f"http://127.0.0.1:{self._service.port}/health/ready"
                    if (await client.get(url)).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)
        raise BrokenPromise("the service did not recover")


def torture(folder: Path, kills: int, seed: int, pauses: Sequence[float] = PAUSES) -> Counter[str]:
    """Run in `folder`, and count what happened.

    Raises:
        BrokenPromise: If the service broke one.
    """
    with ExitStack() as opened:
        disk: FrozenDisk | None = None
        try:
            disk = opened.enter_context(mounted_disk(folder, DISK_BYTES))
        except CannotMount as error:
            print(f"NOT TESTED: a disk that hangs; none can be mounted: {error}")
        service = opened.enter_context(Service(folder, disk))
        bar = opened.enter_context(tqdm(total=kills, unit=" kills", disable=None))
        run = Run(service, seed, pauses)
        asyncio.run(run.run(kills, bar.update))
        return run.book.count
