"""A run: clients at work, one kill after the other, and checks between."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import httpx
from tqdm import tqdm

from testkit.ceph import running_ceph
from testkit.disks import CannotMount, FrozenDisk, mounted_disk
from testkit.torture.book import DELETES, Book, BrokenPromise
from testkit.torture.deleters import Deleters
from testkit.torture.faults import Faults
from testkit.torture.front import Front
from testkit.torture.promises import Promises
from testkit.torture.readers import Readers
from testkit.torture.service import TIMEOUT, Service
from testkit.torture.thumbnails import require_jobs
from testkit.torture.users import Users
from testkit.valkey import cache_server

KILLS: Final = "kills"
KILLS_BETWEEN_CHECKS: Final = 25
KILLS_BETWEEN_STOPS: Final = 10
CALM_BETWEEN_KILLS: Final = (0.02, 0.6)
"""Seconds, from the fewest to the most."""
CALM_BETWEEN_DELETES: Final = (0.5, 5.0)
"""The same, where deletes are counted: most are acknowledged between two kills."""
CALM_SECONDS: Final = 5.0
PAUSES: Final = (0.3, 2.0, 20.0)
"""Seconds for which something is stopped, or hangs: less and more than anything waits for it."""
DISK_BYTES: Final = 4 * 1024**3
REPORTED: Final = (KILLS, DELETES, "reads after a delete", "images checked")
"""What is counted after each check."""
LOGGED: Final = {
    "jobs taken up after the end of their worker": " is taken up again: its worker ended",
    "attempts failed by the end of a renderer": " fails: The process that renders ",
    "attempts failed by the deadline of rendering": " fails: The image is not rendered after ",
    "attempts failed": " fails: ",
    "attempts put off by an outage": " has to wait: ",
    "jobs set aside": " is set aside after too many attempts",
}
"""What is counted in the service's log, by its words there."""


class Options(NamedTuple):
    """What a run consists of."""

    seed: int
    """Decides what happens."""
    kills: int = 0
    """The run ends after so many, if it is not to end by `deletes`."""
    deletes: int = 0
    """Acknowledged deletes after which it ends; then clients do little else."""
    pauses: Sequence[float] = PAUSES
    """Seconds for which something is stopped."""
    with_cache: bool = True
    with_front: bool = True
    with_s3: bool = False
    """Whether images are in Ceph, not on a disk."""


class Run:
    """Clients that work while processes die.

    Args:
        service: The service, as it is started.
        options: What happens.
    """

    def __init__(self, service: Service, options: Options) -> None:
        self.book = Book()
        self._service = service
        chances = (Random(options.seed + number) for number in range(3))  # noqa: S311
        self._chance, of_clients, of_faults = chances
        self._goal, self._goal_number = (
            (DELETES, options.deletes) if options.deletes else (KILLS, options.kills)
        )
        clients = Deleters if options.deletes else Users
        self._clients = clients(service.ways, self.book, of_clients)
        self._faults = Faults(service, of_faults, options.pauses)
        self._promises = Promises(service, self.book, Readers(service.ways, self.book, of_clients))
        self._check = self._promises.check_deletes if options.deletes else self._promises.check
        self._calm = CALM_BETWEEN_DELETES if options.deletes else CALM_BETWEEN_KILLS

    async def run(self) -> None:
        """Kill until the goal is reached; check every so often, and after a time without kills."""
        await self._recover()
        with tqdm(total=self._goal_number, unit=f" {self._goal}", disable=None) as bar:
            while not self._is_over():
                async with self._clients.at_work():
                    for number in range(KILLS_BETWEEN_CHECKS):
                        await self._disturb(self._faults.kill)
                        self.book.count[KILLS] += 1
                        if number % KILLS_BETWEEN_STOPS == 0:
                            await self._disturb(self._faults.stop)
                        bar.update(self.book.count[self._goal] - bar.n)
                        if self._is_over():
                            break
                await self._check()
                tqdm.write(", ".join(f"{self.book.count[name]} {name}" for name in REPORTED))
        async with self._clients.at_work():
            await asyncio.sleep(CALM_SECONDS)
        await self._clients.finish()
        await self._promises.check(undisturbed=True)
        log = self._service.log.read_text(errors="replace")
        self.book.count.update({name: log.count(words) for name, words in LOGGED.items()})

    def _is_over(self) -> bool:
        return self.book.count[self._goal] >= self._goal_number

    async def _disturb(self, fault: Callable[[], str]) -> None:
        await asyncio.sleep(self._chance.uniform(*self._calm))
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


def torture(folder: Path, options: Options) -> Counter[str]:
    """Run in `folder`, and count what happened.

    Raises:
        BrokenPromise: If the service broke one.
    """
    with ExitStack() as opened:
        disk = None if options.with_s3 else _mount(folder, opened)
        store = None
        if options.with_s3:
            (place := folder / "ceph").mkdir()
            store = opened.enter_context(running_ceph(place, "bluestore"))
        cache = opened.enter_context(cache_server(folder)) if options.with_cache else None
        front = Front(folder) if options.with_front else None
        service = opened.enter_context(Service(folder, disk, cache, front, store))
        run = Run(service, options)
        asyncio.run(run.run())
        return run.book.count


def _mount(folder: Path, opened: ExitStack) -> FrozenDisk | None:
    try:
        return opened.enter_context(mounted_disk(folder, DISK_BYTES))
    except CannotMount as error:
        print(f"NOT TESTED: a disk that hangs; none can be mounted: {error}")
        return None
