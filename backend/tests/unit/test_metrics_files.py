"""The files in which processes keep their metrics: none is lost, left, or torn."""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.observability.metrics import folder as folder_module
from app.observability.metrics.collectors import ProcessCounts
from app.observability.metrics.exposition import Exposition
from app.observability.metrics.folder import VARIABLE, forget_gauges, metrics_folder
from app.observability.metrics.merging import MergedFiles
from app.observability.metrics.processes import (
    ENDS,
    KINDS,
    ProcessRecord,
    RunningProcess,
    read_processes,
)
from app.observability.metrics.shared import _RESERVED
from testkit.metrics import Metrics
from testkit.service import BACKEND

KILLS = 24

COUNT = """
import sys
from app.observability.metrics.shared import shared_observer
observer = shared_observer(sys.argv[1])
observer.watch_requests(lambda: 3)
observer.sample()
count = 0
while True:
    for _ in range(20):
        observer.request(f"/{count % 7}", "GET", 200, 0.001 * (count % 13), count)
        observer.upload(1)
        count += 1
    print(count, flush=True)
"""
"""Counts as fast as it can; says how far it has come."""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let folders be made in one of the test's own, for other tests make theirs beside them."""
    monkeypatch.setattr(folder_module, "_MEMORY", tmp_path)
    return tmp_path


@pytest.fixture
def folder(memory: Path) -> Iterator[Path]:
    with metrics_folder() as folder:
        yield folder


def scraped(folder: Path) -> Metrics:
    registry = CollectorRegistry()
    registry.register(ProcessCounts(folder))
    return Metrics(Exposition(registry, MergedFiles(folder)).render().decode())


def by_the_library(folder: Path) -> Metrics:
    """Read the files as prometheus-client does."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return Metrics(generate_latest(registry).decode())


def count_until_killed(folder: Path, place: str, lines: int) -> int:
    """Run a process that counts, and kill it in the middle; return what it has surely counted."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", COUNT, place],
        cwd=BACKEND,
        env=os.environ | {VARIABLE: str(folder)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        counted = 0
        for _ in range(lines):
            counted = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL
    return int(rest[-1]) if rest else counted


def test_what_a_killed_process_has_counted_stays_and_its_successor_goes_on(folder: Path) -> None:
    """Killed at any moment, also in the middle of a write."""
    record = ProcessRecord(folder)
    chance = Random(22)  # noqa: S311
    counted = 0
    seen = 0.0
    for kill in range(KILLS):
        place = f"service-{kill % 2}"
        record.started(place, "service", kill)
        counted += count_until_killed(folder, place, chance.randrange(1, 40))
        before_the_end = scraped(folder)
        assert before_the_end.value("http_requests_in_progress") == 3
        record.ended(place, "killed")
        library = by_the_library(folder).samples
        assert library.items() <= scraped(folder).samples.items()
        metrics = scraped(folder)
        now = metrics.value("http_request_duration_seconds_count")
        assert counted <= now <= counted + 20 * (kill + 1), "the last of each was not said"
        assert now > seen
        seen = now
        assert counted <= metrics.value("images_uploaded_total") <= now
        assert metrics["http_requests_in_progress"] == {}
        assert metrics.value("process_ends_total", kind="service", how="killed") == kill + 1
    names = {file.name for file in folder.iterdir()}
    assert names == {
        *(f"{kind}_service-{number}.db" for kind in ("counter", "histogram") for number in (0, 1)),
        "processes.json",
    }


def test_files_are_read_on_as_they_grow_and_are_replaced(folder: Path) -> None:
    """What is where in them is remembered from one scrape to the next."""
    program = (
        "import sys\n"
        "from app.observability.metrics.shared import shared_observer\n"
        "observer = shared_observer('service-0')\n"
        "observer.watch_connections({'x' * int(sys.argv[1]): 5}.copy)\n"
        "observer.watch_requests(lambda: int(sys.argv[1]))\n"
        "observer.sample()\n"
        "for number in range(int(sys.argv[1])):\n"
        "    observer.problem(f'a \\\\ \"quoted\" one, {number}')\n"
        "    observer.request(f'/{number}', 'GET', 200, 10.0 ** number / 1e4, number)\n"
    )
    files = MergedFiles(folder)
    merged = Metrics("")
    for count in (2, 7, 3, 30):
        subprocess.run(  # noqa: S603
            [sys.executable, "-c", program, str(count)],
            cwd=BACKEND,
            env=os.environ | {VARIABLE: str(folder)},
            check=True,
        )
        merged = Metrics(files.render())
        assert merged.samples == by_the_library(folder).samples
        assert merged.value("http_requests_in_progress") == count
        forget_gauges(folder, "service-0")
        assert Metrics(files.render())["http_requests_in_progress"] == {}
    assert len(merged["http_problems_total"]) == 30


def test_a_file_that_is_not_yet_used_can_be_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import os\n"
        "from app.observability.metrics import shared\n"
        "shared.MetricsObserver = lambda registry: os.kill(os.getpid(), 9)\n"
        "shared.shared_observer('service-0')\n"
    )
    environment = os.environ | {VARIABLE: str(folder)}
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], cwd=BACKEND, env=environment, check=False
    )
    made = [file.stat() for file in folder.glob("*.db")]
    assert len(made) == 3
    assert all(file.st_blocks * 512 >= file.st_size for file in made), "no hole in it"
    assert scraped(folder).value("images_uploaded_total") == 0


def test_no_memory_left_is_an_error_before_anything_is_counted(folder: Path) -> None:
    """With holes in its files, it would end the process at a later moment."""
    program = (
        "import resource\n"
        "from app.observability.metrics.shared import shared_observer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    shared_observer('service-0')\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    environment = os.environ | {VARIABLE: str(folder)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        cwd=BACKEND,
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert done.stdout == "File too large\n"
    assert list(folder.glob("*.db")) == []


EVERYTHING = """
import os
del os.posix_fallocate  # as on macOS
from app.composition.http_app import create_app
from app.config.settings import Settings
from app.observability.metrics.shared import shared_observer
observer = shared_observer("service-0")
for route, methods in [*create_app(Settings()).openapi()["paths"].items(), ("", {})]:
    for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"):
        for status in (200, 304, 404, 503) if method.lower() in methods else (404,):
            observer.request(route, method, status, 0.1, 1)
for number in range(80):
    observer.statement(f"images.a_statement_with_a_name_{number}", 0.1)
"""
"""Counts what a curious client can have a server process count."""


def test_a_file_need_not_grow_whatever_is_asked(folder: Path) -> None:
    """What it grows by is a hole, which ends the process where there is no memory for it."""
    environment = os.environ | {VARIABLE: str(folder)}
    program = [sys.executable, "-c", EVERYTHING]
    subprocess.run(program, cwd=BACKEND, env=environment, check=True)  # noqa: S603
    (file,) = folder.glob("histogram_*.db")
    (used,) = struct.unpack_from("i", file.read_bytes())
    assert used < 0.8 * _RESERVED["histogram"], "or reserve more"
    assert file.stat().st_size == _RESERVED["histogram"]


def test_the_folder_of_a_killed_service_is_removed_at_the_next_start(memory: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from app.observability.metrics import folder\n"
        "folder._MEMORY = Path(sys.argv[1])\n"
        "with folder.metrics_folder() as made:\n"
        "    print(made, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, str(memory)], cwd=BACKEND, stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout
        left = Path(killed.stdout.readline().strip())
        (left / "counter_service-0.db").touch()
        try:
            with metrics_folder() as own:
                assert left.exists(), "that of a service that runs"
                assert own != left
        finally:
            killed.kill()
    assert left.exists()
    with metrics_folder() as own:
        assert list(memory.iterdir()) == [own]
    assert list(memory.iterdir()) == []


def test_the_record_says_which_processes_run_and_how_others_have_ended(folder: Path) -> None:
    assert read_processes(folder).running == {}
    record = ProcessRecord(folder)
    record.started("service-0", "service", 100)
    record.started("worker-0", "worker", 101)
    assert read_processes(folder).running["service-0"] == RunningProcess("service", 100)
    record.serves("worker-0")
    record.ended("service-0", "hung")
    record.started("service-0", "service", 102)
    found = read_processes(folder)
    assert {place: one.pid for place, one in found.running.items()} == {
        "service-0": 102,
        "worker-0": 101,
    }
    assert found.running["service-0"].since is None
    assert found.running["worker-0"].since
    assert found.starts == {"service": 2, "worker": 1, "metrics": 0}
    assert found.ends["service"] == {"ended": 0, "killed": 0, "hung": 1}
    metrics = scraped(folder)
    serving = {kind: metrics.value("processes_serving", kind=kind) for kind in KINDS}
    assert serving == {"service": 0, "worker": 1, "metrics": 0}
    assert len(metrics["process_ends_total"]) == len(KINDS) * len(ENDS)
    assert metrics.value("process_starts_total", kind="service") == 2


def test_a_record_that_cannot_be_written_does_not_end_the_supervisor(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = ProcessRecord(folder / "missing")
    record.started("service-0", "service", 100)
    record.ended("service-0", "ended")
    assert "cannot be written: No such file or directory" in caplog.text
