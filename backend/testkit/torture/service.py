"""The service, with its workers and its database, each as its own processes."""

import asyncio
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import psutil
from sqlalchemy.engine import make_url

from app.database.embedded import embedded_postgres
from testkit.ceph import Ceph
from testkit.daemons import lasting_port
from testkit.databases import execute, prepare
from testkit.disks import FrozenDisk
from testkit.processes import postmaster
from testkit.torture.front import Front
from testkit.torture.processes import busy_renderers, children, running
from testkit.valkey import CacheServer

BACKEND: Final = Path(__file__).parents[2]
SERVER_PROCESSES: Final = 2
RENDER_SECONDS: Final = 10
"""Deadline of rendering one image: shorter than the longest stop."""
TIMEOUT: Final = 120.0
"""Seconds for anything that is certain to happen."""


class Service:
    """The service in a folder of its own.

    Args:
        folder: Where its log and its database are.
        disk: Where its files are, if they are on a disk that can hang.
        cache: What caches its rows, if anything does.
        front: The proxy in front of it, if there is one.
        store: Where its images are instead, if they are in S3.
    """

    def __init__(
        self,
        folder: Path,
        disk: FrozenDisk | None,
        cache: CacheServer | None,
        front: Front | None,
        store: Ceph | None = None,
    ) -> None:
        self.folder = folder
        self.disk = disk
        self.cache = cache
        self.front = front
        self.store = store
        self._bucket = store.make_bucket() if store else ""
        self.data = disk.folder if disk else folder / "data"
        self.log = folder / "log"
        self.url = ""
        self.port = lasting_port()
        self._database = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start_database()
        asyncio.run(prepare(make_url(self.url)))
        self.start()
        if self.front:
            self.front.open(self._environment)
        return self

    def __exit__(self, *_: object) -> None:
        if self.front:
            self.front.close()
        if self._process:
            self._process.terminate()
            self._process.wait(TIMEOUT)
        self._database.close()

    def start(self) -> None:
        """Start the service, whose previous main process has ended."""
        if self._process:
            self._process.wait(TIMEOUT)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_database(self) -> None:
        """Start the database, whose previous process has ended."""
        self._database.close()
        url = self._database.enter_context(embedded_postgres(self.folder / "postgres"))
        self.url = url.render_as_string()

    def fsck(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command, beside the service."""
        return subprocess.run(
            [sys.executable, "-m", "app", "fsck", *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def ways(self) -> dict[str, str]:
        """The URLs of the images: past the proxy, and through it, if there is one."""
        ports = {"directly": self.port} | ({"by nginx": self.front.port} if self.front else {})
        return {way: f"http://127.0.0.1:{port}/api/v1/images" for way, port in ports.items()}

    async def select(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database, past the service."""
        return await execute(make_url(self.url), statement)

    def stored(self) -> set[str]:
        """Return the names of all files of images."""
        if self.store:
            return {key for key in self.store.keys(self._bucket) if not key.startswith(".")}
        return {path.name for path in (self.data / "images").glob("*/*") if path.is_file()}

    def staged(self) -> list[str]:
        """List what is left of uploads that did not end."""
        if self.store:
            return self.store.uploads(self._bucket)
        return [path.name for path in (self.data / "images/staging").iterdir()]

    @property
    def main(self) -> psutil.Process:
        """The process that was started, which supervises the others."""
        assert self._process
        return psutil.Process(self._process.pid)

    @property
    def database(self) -> psutil.Process:
        """The database's first process."""
        return postmaster(self.folder / "postgres")

    def servers(self) -> list[psutil.Process]:
        """List the processes that answer clients."""
        return running("app.commands.server_process", children(self.main))

    def workers(self) -> list[psutil.Process]:
        """List the processes that do jobs."""
        return running("app.commands.worker_process", children(self.main))

    def writers(self) -> list[psutil.Process]:
        """List the processes that write files, for server processes and workers."""
        parents = [*self.servers(), *self.workers()]
        return [one for parent in parents for one in running("writer_program", children(parent))]

    def busy_workers(self) -> list[psutil.Process]:
        """List the workers for which an image is rendered at this moment."""
        return [worker for worker in self.workers() if busy_renderers(worker)]

    def busy_renderers(self) -> list[psutil.Process]:
        """List the processes that render an image at this moment."""
        return [renderer for worker in self.workers() for renderer in busy_renderers(worker)]

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(BACKEND),
            "DATABASE_URL": self.url,
            "DATA_DIR": str(self.data),
            "PORT": str(self.port),
            "WORKERS": str(SERVER_PROCESSES),
            "WORKER_PROCESSES": "1",
            "RENDER_TIMEOUT_SECONDS": str(RENDER_SECONDS),
            **({"REDIS_URL": self.cache.url} if self.cache else {}),
            **(self.front.settings if self.front else {}),
            **(self.store.settings(self._bucket) if self.store else {}),
        }
