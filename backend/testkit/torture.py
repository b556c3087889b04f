"""Kill and stop the real service, its database and its disk while clients work: `make torture`.

What it promises is checked again and again: each 201 is downloadable byte for byte, each 204 stays
gone, each listed image opens, and after `fsck --repair` storage and database agree exactly.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

import httpx
import psutil
from sqlalchemy.engine import make_url
from tqdm import tqdm

from app.database.embedded import embedded_postgres
from testkit.databases import prepare
from testkit.disks import CannotMount, FrozenDisk, mounted_disk

BACKEND: Final = Path(__file__).parents[1]
CLIENTS: Final = 8
CLIENT_SECONDS: Final = 60.0
"""How long a client waits for an answer: longer than the service takes to give one."""
KILLS_BETWEEN_CHECKS: Final = 25
PAUSES: Final = (0.3, 2.0, 20.0)
"""Seconds for which something is stopped, or hangs: less and more than anything waits for it."""
DISK_BYTES: Final = 4 * 1024**3
TIMEOUT: Final = 120.0
"""Seconds for the service to be ready again after a kill."""


NOT_STORED: Final = (
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.REQUEST_TIMEOUT,  # of a worker that was stopped, and takes its client for slow
)


class BrokenPromise(AssertionError):
    """The service lost, kept or changed what it must not."""


def content_of(seed: int) -> bytes:
    """Make the bytes of one upload from its number alone: mostly small, some of many blocks."""
    chance = random.Random(seed)  # noqa: S311 - for variety
    size = chance.choice([50, 4_000, 40_000, 40_000, 40_000, 700_000])
    return b"\xff\xd8\xff\xe0" + chance.randbytes(size)


class Processes:
    """The database and the service, each as its own processes."""

    def __init__(self, folder: Path, workers: int, disk: FrozenDisk | None) -> None:
        self.folder = folder
        self.workers = workers
        self.disk = disk
        self.data = disk.folder if disk else folder / "data"
        self.url = ""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._database = ExitStack()
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start_database()
        asyncio.run(prepare(make_url(self.url)))
        self.start_service()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_service()
        self._database.close()

    def start_database(self) -> None:
        url = self._database.enter_context(embedded_postgres(self.folder / "postgres"))
        self.url = url.render_as_string()

    def start_service(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop_service(self) -> None:
        if self._service:
            self._service.terminate()
            self._service.wait(TIMEOUT)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(BACKEND),
            "DATABASE_URL": self.url,
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "WORKERS": str(self.workers),
            "WORKER_PROCESSES": "0",
        }

    def kill_a_worker(self) -> None:
        """Its supervisor starts another."""
        if workers := self._workers():
            _kill(random.choice(workers))  # noqa: S311

    def kill_a_writer(self) -> None:
        """Its worker starts another."""
        if writers := self._writers():
            _kill(random.choice(writers))  # noqa: S311

    def kill_all_workers(self) -> None:
        for worker in self._workers():
            _kill(worker)

    def kill_service(self) -> None:
        assert self._service
        family = [psutil.Process(self._service.pid), *self._workers()]
        for process in family:
            _kill(process)
        self._service.wait(TIMEOUT)
        psutil.wait_procs(family, TIMEOUT)
        self.start_service()

    def kill_database(self) -> None:
        _kill(psutil.Process(self._database_pid))
        self._database.close()
        self.start_database()

    def kill_both(self) -> None:
        assert self._service
        for process in (psutil.Process(self._service.pid), *self._workers()):
            _kill(process)
        self.kill_database()
        self._service.wait(TIMEOUT)
        self.start_service()

    def stop_a_worker(self, seconds: float) -> None:
        """Its supervisor may take it for dead, and start another."""
        if workers := self._workers():
            _stop([random.choice(workers)], seconds)  # noqa: S311

    def stop_a_writer(self, seconds: float) -> None:
        """Its worker may give it up, and start another."""
        if writers := self._writers():
            _stop([random.choice(writers)], seconds)  # noqa: S311

    def stop_database(self, seconds: float) -> None:
        server = psutil.Process(self._database_pid)
        _stop([server, *_children(server)], seconds)

    def hang_disk(self, seconds: float) -> None:
        """Let all that writes files wait."""
        assert self.disk
        with self.disk.frozen():
            time.sleep(seconds)

    def fsck(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", "fsck", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def _database_pid(self) -> int:
        return int((self.folder / "postgres/postmaster.pid").read_text().split()[0])

    def _writers(self) -> list[psutil.Process]:
        return [writer for worker in self._workers() for writer in _children(worker)]

    def _workers(self) -> list[psutil.Process]:
        assert self._service
        children = _children(psutil.Process(self._service.pid))
        return [
            child
            for child in children
            if "app.commands.server_process" in " ".join(_command(child))
        ]


@dataclass
class Book:
    """What the service has acknowledged to its clients."""

    stored: dict[str, int] = field(default_factory=dict)
    """Acknowledged by 201: id, and the number that its bytes come from."""
    deleted: set[str] = field(default_factory=set)
    """Acknowledged by 204."""
    unsure: dict[str, int] = field(default_factory=dict)
    """Stored, then a delete without an answer: gone or whole, nothing between."""
    count: Counter[str] = field(default_factory=Counter)


class Torture:
    """Clients that work while processes die."""

    def __init__(self, processes: Processes, seed: int, pauses: Sequence[float]) -> None:
        self.processes = processes
        self.pauses = pauses
        self.book = Book()
        self._chance = random.Random(seed)  # noqa: S311 - for variety
        self._images = f"http://127.0.0.1:{processes.port}/api/v1/images"
        self._number = 0

    async def run(self, kills: int, progress: Callable[[], object]) -> None:
        """Kill or stop `kills` times; check every so often, and at the end."""
        await self._ready()
        for done in range(0, kills, KILLS_BETWEEN_CHECKS):
            async with self._clients_at_work():
                for _ in range(min(KILLS_BETWEEN_CHECKS, kills - done)):
                    await asyncio.sleep(self._chance.uniform(0.02, 0.6))
                    await self._kill()
                    progress()
            await self._check()

    async def _kill(self) -> None:
        processes = self.processes
        kills = [
            processes.kill_a_worker,
            processes.kill_a_writer,
            processes.kill_all_workers,
            processes.kill_service,
            processes.kill_database,
            processes.kill_both,
        ]
        stops = [processes.stop_a_worker, processes.stop_a_writer, processes.stop_database]
        if processes.disk:
            stops.append(processes.hang_disk)
        number = self._chance.randrange(len(kills) + len(stops))
        if number < len(kills):
            kill = kills[number]
            self.book.count[kill.__name__] += 1
            await asyncio.to_thread(kill)
        else:
            stop, seconds = stops[number - len(kills)], self._chance.choice(self.pauses)
            self.book.count[f"{stop.__name__} for {seconds} s"] += 1
            await asyncio.to_thread(stop, seconds)
        await self._ready()

    async def _ready(self) -> None:
        """Wait until all is well again; the service must manage by itself."""
        deadline = time.monotonic() + TIMEOUT
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                try:
                    url = f"http://127.0.0.1:{self.processes.port}/health/ready"
                    if (await client.get(url)).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)
        raise BrokenPromise("the service did not recover")

    @asynccontextmanager
    async def _clients_at_work(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        clients = [asyncio.create_task(self._client(stop)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*clients)

    async def _client(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=CLIENT_SECONDS) as client:
            while not stop.is_set():
                try:
                    if self.book.stored and self._chance.random() < 0.4:
                        await self._delete(client)
                    else:
                        await self._upload(client)
                except httpx.HTTPError:
                    self.book.count["no answer"] += 1
                    await asyncio.sleep(0.05)

    async def _upload(self, client: httpx.AsyncClient) -> None:
        self._number += 1
        number = self._number
        response = await client.post(f"{self._images}/upload", files={"file": content_of(number)})
        self.book.count[f"upload {response.status_code}"] += 1
        if response.status_code == httpx.codes.CREATED:
            self.book.stored[response.json()["id"]] = number
        else:
            _require(response.status_code in NOT_STORED, response.text)

    async def _delete(self, client: httpx.AsyncClient) -> None:
        image_id = self._chance.choice(list(self.book.stored))
        self.book.unsure[image_id] = self.book.stored.pop(image_id)
        response = await client.delete(f"{self._images}/{image_id}")
        self.book.count[f"delete {response.status_code}"] += 1
        if response.status_code == httpx.codes.NO_CONTENT:
            del self.book.unsure[image_id]
            self.book.deleted.add(image_id)
        else:
            _require(response.status_code == httpx.codes.SERVICE_UNAVAILABLE, response.text)

    async def _check(self) -> None:
        book = self.book
        async with httpx.AsyncClient(timeout=60) as client:
            for image_id, number in book.stored.items():
                response = await client.get(f"{self._images}/{image_id}/file")
                _require(response.status_code == httpx.codes.OK, f"{image_id} is lost")
                _require(response.content == content_of(number), f"{image_id} has changed")
            for image_id in book.deleted:
                for address in (image_id, f"{image_id}/file"):
                    response = await client.get(f"{self._images}/{address}")
                    _require(response.status_code == httpx.codes.NOT_FOUND, f"{image_id} is back")
            for image_id, number in book.unsure.items():
                response = await client.get(f"{self._images}/{image_id}/file")
                if response.status_code != httpx.codes.NOT_FOUND:
                    _require(response.content == content_of(number), f"{image_id} has changed")
            listed = await self._open_all_listed(client)
            _require(book.stored.keys() <= listed, "an image is not on the list")
            _require(not book.deleted & listed, "a deleted image is on the list")
            self._compare(len(listed))
            book.count["images checked"] += len(listed)
            for image_id in listed:
                await client.delete(f"{self._images}/{image_id}")
        book.stored.clear()
        book.unsure.clear()
        book.deleted.clear()

    async def _open_all_listed(self, client: httpx.AsyncClient) -> set[str]:
        listed: set[str] = set()
        url = f"{self._images}?limit=100"
        while url:
            response = await client.get(url)
            for image in response.json()["items"]:
                listed.add(image["id"])
                content = (await client.get(image["url"])).content
                _require(len(content) == image["file_size"], f"{image['id']} does not open")
            url = response.links["next"]["url"] if "next" in response.links else ""
        return listed

    def _compare(self, listed: int) -> None:
        """Repair, and then find rows and files to be the same."""
        found = json.loads(self.processes.fsck("--grace", "0", "--json").stdout)
        number = str(found["sums"]["file-without-row"]["count"])
        repair = self.processes.fsck("--repair", "--expect", number, "--grace", "0", "--json")
        _require(repair.returncode in {0, 1}, repair.stdout + repair.stderr)
        _require('"row-without-file"' not in repair.stdout.partition('"sums"')[0], repair.stdout)
        _require('"wrong-size"' not in repair.stdout.partition('"sums"')[0], repair.stdout)
        self.book.count["leftovers repaired"] += repair.stdout.count('"repaired": true')
        again = self.processes.fsck("--grace", "0")
        _require(again.returncode == 0, again.stdout + again.stderr)
        images = self.processes.data / "images"
        files = [path for path in images.glob("*/*") if path.is_file()]
        _require(len(files) == listed, f"{len(files)} files for {listed} images")


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise BrokenPromise(otherwise)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def _stop(processes: list[psutil.Process], seconds: float) -> None:
    """Let processes do nothing for a time."""
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(seconds)
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children()
    except psutil.NoSuchProcess:
        return []
    return children


def _command(process: psutil.Process) -> list[str]:
    try:
        command: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return command


def torture(
    folder: Path, kills: int, seed: int, *, workers: int = 2, pauses: Sequence[float] = PAUSES
) -> Counter[str]:
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
        processes = opened.enter_context(Processes(folder, workers, disk))
        bar = opened.enter_context(tqdm(total=kills, unit=" kills", disable=None))
        run = Torture(processes, seed, pauses)
        asyncio.run(run.run(kills, bar.update))
        return run.book.count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    options = parser.parse_args()
    print(f"{options.kills} kills, seed {options.seed}")
    begin = time.monotonic()
    with TemporaryDirectory(prefix="torture-") as folder:
        counts = torture(Path(folder), options.kills, options.seed)
    for name, number in sorted(counts.items()):
        print(f"{number:8} {name}")
    print(f"Every promise was kept, in {time.monotonic() - begin:.0f} s.")


if __name__ == "__main__":
    main()
