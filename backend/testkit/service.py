"""The real `make run`, as a newcomer types it, in a folder of its own; and its images."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy.engine import URL

from app import __version__
from testkit import samples
from testkit.live import TIMEOUT, wait_until
from testkit.processes import postmaster
from testkit.settings import setting_names
from testkit.sockets import UPLOAD

ROOT = Path(__file__).parents[2]
BACKEND = ROOT / "backend"
IMAGES = "/api/v1/images"
JPEG = samples.jpeg(640, 480)
START_SECONDS = 120.0
"""How long a start may take, with a new database and all processes on a busy machine."""
RENDERED_SECONDS = 240.0
"""How long rendering an image may take: it has the processor time that no other test wants."""
TAKES_JOBS = f"version {__version__} takes jobs\n"
"""In the log of a worker."""


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    log: Path
    data_dir: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def url(self) -> str:
        found = re.search(r"^Image host: (http://127\.0\.0\.1:\d+)$", self.output, re.MULTILINE)
        assert found, self.output
        return found[1]

    def wait_until_it_serves(self) -> "Service":
        wait_until(
            lambda: "Docs: " in self.output or self.process.poll() is not None, START_SECONDS
        )
        assert self.process.poll() is None, self.output
        return self

    def all_processes(self) -> list[psutil.Process]:
        """List everything it started, the database too, which has a session of its own."""
        processes = psutil.Process(self.process.pid).children(recursive=True)
        folder = self.data_dir / "postgres"
        if (folder / "postmaster.pid").exists():
            database = postmaster(folder)
            processes += [database, *database.children(recursive=True)]
        return processes

    @property
    def main(self) -> psutil.Process:
        """The process that `make` runs, or that took its place."""
        make = psutil.Process(self.process.pid)
        return next((child for child in make.children() if is_ours(child)), make)

    def serving(self) -> list[psutil.Process]:
        """List the processes that answer requests."""
        return self._children("app.commands.server_process") or [self.main]

    def workers(self) -> list[psutil.Process]:
        """List the processes that do jobs."""
        return self._children("app.commands.worker_process")

    def wait_for_workers(self, starts: int) -> None:
        """Wait until so many workers have begun to take jobs since the start."""
        wait_until(lambda: self.output.count(TAKES_JOBS) == starts, START_SECONDS)

    def wait_until_rendered(self) -> None:
        """Wait until all images are rendered, with the time that no test wants, one by one."""
        while left := self._unrendered():
            wait_until(lambda: self._unrendered() < left, RENDERED_SECONDS)

    def _unrendered(self) -> int:
        """Count the images that are not rendered yet."""
        count, query = 0, "limit=100"
        while query:
            page = httpx.get(f"{self.url}{IMAGES}?{query}", timeout=TIMEOUT).json()
            count += sum(not image["placeholder"] for image in page["items"])
            query = page["next_cursor"] and f"limit=100&cursor={page['next_cursor']}"
        return count

    def _children(self, module: str) -> list[psutil.Process]:
        return [child for child in self.main.children() if module in command_of(child)]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to the whole foreground, as a terminal does, and wait for the end."""
        os.killpg(self.process.pid, number)
        return self.process.wait(TIMEOUT)


def is_ours(process: psutil.Process) -> bool:
    return command_of(process)[1:] == ["-m", "app"]


def command_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; empty when it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


StartService = Callable[..., Service]


def make(project: Path, command: str, *settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the Makefile to its end."""
    hidden = {"MAKEFLAGS", "MAKELEVEL"}
    return subprocess.run(
        ["make", command, *settings],  # noqa: S607
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in hidden},
        capture_output=True,
        text=True,
        check=False,
    )


def make_checkout(folder: Path) -> Path:
    """Make a checkout without the developer's own `.env` and data."""
    folder.mkdir()
    for name in ("Makefile", "backend", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@contextmanager
def starting_services(project: Path) -> Iterator[StartService]:
    """Start services of a checkout, and see to it that none outlives the context.

    Without worker processes, unless the settings of a start ask for them.
    """
    started: list[Service] = []

    def start(*settings: str, data_dir: Path = project / "data") -> Service:
        log = project / f"log-{len(started)}"
        own = setting_names() | {"MAKEFLAGS", "MAKELEVEL"}
        folder = f"DATA_DIR={data_dir}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["make", "run", "PORT=0", folder, "WORKER_PROCESSES=0", *settings],  # noqa: S607
                cwd=project,
                env={name: value for name, value in os.environ.items() if name not in own},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Service(process, log, data_dir))
        return started[-1]

    try:
        yield start
    finally:
        for service in started:
            if service.process.poll() is None:
                service.stop()


def upload(service: Service, content: bytes = JPEG, filename: str = "photo.jpg") -> dict[str, Any]:
    response = httpx.post(
        f"{service.url}{UPLOAD}", files={"file": (filename, content)}, timeout=TIMEOUT
    )
    assert response.status_code == httpx.codes.CREATED
    image: dict[str, Any] = response.json()
    return image


def download(service: Service, image: dict[str, Any]) -> bytes:
    return httpx.get(f"{service.url}{IMAGES}/{image['id']}/file", timeout=TIMEOUT).content


def delete(service: Service, image: dict[str, Any]) -> None:
    response = httpx.delete(f"{service.url}{IMAGES}/{image['id']}", timeout=TIMEOUT)
    assert response.status_code == httpx.codes.NO_CONTENT


def listed_ids(service: Service) -> list[str]:
    return [image["id"] for image in _listed(service)]


def listed_names(service: Service) -> list[str]:
    return [image["filename"] for image in _listed(service)]


def stored_files(service: Service) -> list[Path]:
    return [path for path in (service.data_dir / "images").glob("*/*") if path.is_file()]


def published_files(service: Service) -> list[Path]:
    """List the files of images, and not what readiness writes for a moment where metrics are."""
    return [*(service.data_dir / "images").glob("??/*")]


@contextmanager
def connections_to_all_processes(service: Service) -> Iterator[list[httpx.Client]]:
    """Open a connection to each process, by stopping the others while it is accepted."""
    with ExitStack() as opened:
        clients: list[httpx.Client] = []
        for process in service.serving():
            others = [other for other in service.serving() if other != process]
            for other in others:
                other.suspend()
            try:
                client = opened.enter_context(httpx.Client(base_url=service.url, timeout=TIMEOUT))
                assert client.get("/health/live").is_success
            finally:
                for other in others:
                    other.resume()
            clients.append(client)
        assert len(clients) == 2
        yield clients


@contextmanager
def storage_unavailable(service: Service) -> Iterator[None]:
    """Remove the folder of images for a while, as a lost mount does."""
    images = service.data_dir / "images"
    aside = images.rename(service.data_dir / "aside")
    try:
        yield
    finally:
        aside.rename(images)


def _listed(service: Service) -> list[dict[str, Any]]:
    response = httpx.get(f"{service.url}{IMAGES}", params={"limit": 100}, timeout=TIMEOUT)
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def fsck(project: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command beside a service of a checkout, or without one."""
    hidden = {"MAKEFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(
        [project / ".venv/bin/python", "-m", "app", "fsck", *arguments],
        cwd=project,
        env=environment | {"PYTHONPATH": "backend"} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def run_beside(service: Service, *arguments: str) -> list[str]:
    """Run a command beside a service with its embedded database; return the lines it prints."""
    process = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(BACKEND),
            "DATA_DIR": str(service.data_dir),
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    return process.stdout.splitlines()


def refused_start(database_url: URL, data_dir: Path, *program: str, **settings: str) -> str:
    """Run a command of the service that ends with one line, which is no success; return that."""
    address = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    own = {"DATABASE_URL": address, "DATA_DIR": str(data_dir), "PORT": "0"}
    run = subprocess.run(
        [sys.executable, *program],
        cwd=BACKEND,
        env=os.environ | own | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * TIMEOUT,
    )
    assert run.returncode in {1, 2}
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1, run.stderr
    return run.stderr
