"""What a default service may cost: modules, processor time, memory, threads and processes.

A capability that is switched off must cost nothing. Each bound stands a good way above what was
measured, since machines and versions of Python differ; a failure says what to look at.
"""

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import psutil
import pytest

from testkit import samples
from testkit.live import TIMEOUT, wait_until
from testkit.service import START_SECONDS, TAKES_JOBS
from testkit.sockets import UPLOAD

BACKEND: Final = Path(__file__).parents[2]
STARTS: Final = 5
"""Of the service, after the first one, which makes the database."""

OFF: Final = {
    "aiohttp": "storage in S3",
    "app.cache.redis": "the cache",
    "app.storage.s3": "storage in S3",
    "alembic": "migrations, on a database that has them all",
    "botocore": "storage in S3",
    "opentelemetry.sdk": "tracing",
    "app.server.worker": "workers, which are processes of their own",
    "procrastinate": "workers",
    "prometheus_client": "metrics",
    "hiredis": "the cache",
    "psycopg": "workers",
    "pyvips": "workers, which render thumbnails",
    "redis": "the cache",
    "tqdm": "the progress of commands",
    "valkey": "the cache",
}
"""Libraries of what a default service does not do."""
OFF_IN_WORKERS: Final = ("fastapi", "starlette", "uvicorn", "alembic", "tqdm", "pyvips")
"""Libraries of what a worker does not do, or lets its children do."""
MAX_LIBRARY_MODULES: Final = 730
"""722 with Python 3.11 and the locked versions."""
MAX_OWN_MODULES: Final = 250
"""243."""
MAX_STARTS_OF_FASTAPI: Final = 3.5
"""2.3: the processor time of a start, by that of importing FastAPI right after it."""
MAX_SERVING_MB: Final = 110
"""Resident: 81."""
MAX_WORKER_MB: Final = 150
"""Resident: 127 with its writer, before its first job."""
MAX_WRITER_MB: Final = 30
"""Resident: 16."""
MAX_THREADS: Final = 6
"""Of the serving process, after one request at a time: 4, and 1 that watches workers."""
MAX_POSTGRES_PROCESSES: Final = 14
"""10; a worker of autovacuum or two come and go."""

RUN: Final = """
import atexit, runpy, sys, threading
from pathlib import Path
names = Path(sys.argv.pop())
threads, start = [], threading.Thread.start
threading.Thread.start = lambda thread: threads.append(thread.name) or start(thread)
atexit.register(lambda: names.write_text("\\n".join([*sys.modules, "", *threads])))
runpy.run_module("app", run_name="__main__", alter_sys=True)
"""
"""`python -m app`, which writes at its end which modules it has imported, and threads started."""
WATCHING: Final = " (run)"
"""How the name of a thread ends that runs a supervisor."""


@dataclass
class Lean:
    """What was seen of default services."""

    start_ratios: list[float]
    """The processor time of each start, until the service serves, by that of importing FastAPI."""
    modules: set[str]
    serving_bytes: int
    writer_bytes: list[int]
    worker_bytes: list[int]
    """With all that a worker has started, before the first upload: no child renders yet."""
    threads: int
    watching: list[str]
    """Names of the threads that it has started to watch workers."""
    postgres_processes: int
    others: list[str]
    """Command lines of further processes."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lean")


@pytest.fixture(scope="module")
def lean(folder: Path) -> Lean:
    """Start default services after one another, over one folder; use each."""
    _run(folder)
    first, *others = [_run(folder) for _ in range(STARTS)]
    for other in others:
        first.start_ratios += other.start_ratios
    return first


def test_no_library_of_a_capability_that_is_off_is_imported(lean: Lean) -> None:
    loaded = {name: use for name, use in OFF.items() if name in lean.modules}
    assert not loaded, "import these inside the branch that switches the capability on"


def test_a_default_service_imports_no_more_modules_than_it_needs(lean: Lean) -> None:
    of_libraries = [name for name in lean.modules if name.partition(".")[0] != "app"]
    advice = (
        "compare `python -X importtime -m app` with that of the commit before; what only one "
        "command or setting needs is imported there"
    )
    assert len(of_libraries) <= MAX_LIBRARY_MODULES, advice
    assert len(lean.modules) - len(of_libraries) <= MAX_OWN_MODULES, advice


def test_a_start_takes_little_more_processor_time_than_the_framework(lean: Lean) -> None:
    assert median(lean.start_ratios) <= MAX_STARTS_OF_FASTAPI, (
        "see what takes long to import with `python -X importtime -m app`, or what the start "
        "does with `python -m cProfile -m app`"
    )


def test_a_server_process_stays_small(lean: Lean) -> None:
    assert lean.serving_bytes <= MAX_SERVING_MB * 1024**2, (
        "look for what is kept at start with `python -X tracemalloc`, or for a large library"
    )
    assert lean.threads <= MAX_THREADS, "let new waiting work use the threads that there are"


def test_a_default_service_has_one_writer_and_one_worker_and_no_other_process(lean: Lean) -> None:
    assert len(lean.writer_bytes) == 1
    assert len(lean.worker_bytes) == 1
    assert lean.others == [], "start a process only where a setting asks for what it does"
    assert lean.postgres_processes <= MAX_POSTGRES_PROCESSES, (
        "see which of PostgreSQL's settings adds processes"
    )


def test_a_writer_imports_little(lean: Lean) -> None:
    assert max(lean.writer_bytes) <= MAX_WRITER_MB * 1024**2, (
        "let the writer's program import nothing but what it needs of the standard library"
    )


def test_a_worker_stays_small(lean: Lean) -> None:
    assert max(lean.worker_bytes) <= MAX_WORKER_MB * 1024**2


def test_a_worker_imports_no_library_of_what_it_does_not_do(lean: Lean, folder: Path) -> None:
    process, _ = _start(folder, TAKES_JOBS, "worker")
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    modules = (folder / "modules").read_text().split()
    assert "app.server.worker" in modules
    assert [name for name in OFF_IN_WORKERS if name in modules] == []


def test_a_service_without_workers_pays_nothing_for_them(lean: Lean, folder: Path) -> None:
    without = _run(folder, WORKER_PROCESSES="0")
    assert without.worker_bytes == []
    assert (len(lean.watching), without.watching) == (1, [])


def _run(folder: Path, **settings: str) -> Lean:
    """Run a service for a few requests; return what it cost."""
    process, log = _start(folder, "Docs: ", **settings)
    start_ratio = sum(process.cpu_times()[:2]) / _import_seconds("fastapi")
    if not settings:
        wait_until(lambda: TAKES_JOBS in log.read_text())
    (url,) = [
        line.split()[-1] for line in log.read_text().splitlines() if line.startswith("Image host: ")
    ]
    worker_bytes = [
        sum(one.memory_info().rss for one in (worker, *worker.children(recursive=True)))
        for worker in process.children()
        if _is_worker(worker)
    ]
    _use(url)
    postgres = [
        child for child in process.children(recursive=True) if _name_of(child) == "postgres"
    ]
    children = [child for child in process.children() if child not in postgres]
    writers = [child for child in children if "writer_program" in " ".join(child.cmdline())]
    workers = [child for child in children if _is_worker(child)]
    others = [child for child in children if child not in (*writers, *workers)]
    seen = Lean(
        [start_ratio],
        modules=set(),
        serving_bytes=process.memory_info().rss,
        writer_bytes=[writer.memory_info().rss for writer in writers],
        worker_bytes=worker_bytes,
        threads=process.num_threads(),
        watching=[],
        postgres_processes=len(postgres),
        others=[" ".join(other.cmdline()) for other in others],
    )
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    imported, _, started = (folder / "modules").read_text().partition("\n\n")
    seen.modules = set(imported.splitlines())
    seen.watching = [name for name in started.splitlines() if name.endswith(WATCHING)]
    return seen


def _name_of(process: psutil.Process) -> str:
    """Return its name; of PostgreSQL's, one that has just ended has none."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def _is_worker(process: psutil.Process) -> bool:
    return "worker_process" in " ".join(process.cmdline())


def _start(folder: Path, line: str, *arguments: str, **settings: str) -> tuple[psutil.Popen, Path]:
    """Start a process with no further setting but where its data is; wait for a line in its log."""
    log = folder / "log"
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-c", RUN, *arguments, str(folder / "modules")],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(BACKEND),
                "DATA_DIR": str(folder / "data"),
                "PORT": "0",
                **settings,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    wait_until(lambda: line in log.read_text() or process.poll() is not None, START_SECONDS)
    assert process.poll() is None, log.read_text()
    return process, log


def _use(url: str) -> None:
    """Do what users do, so that what is imported or started late is there."""
    uploaded = httpx.post(url + UPLOAD, files={"file": ("photo.jpg", samples.jpeg())})
    assert uploaded.status_code == httpx.codes.CREATED
    for path in ("/", "/api/v1/images", uploaded.headers["location"], uploaded.json()["url"]):
        assert httpx.get(httpx.URL(url).join(path)).status_code == httpx.codes.OK


def _import_seconds(module: str) -> float:
    """Return the processor time of a process that only imports a module."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
