"""Workers beside a service: how they start and end, and what becomes of one that fails."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from app import __version__
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.live import TIMEOUT, wait_until
from testkit.metrics import scrape
from testkit.problems import assert_problem
from testkit.processes import assert_ended, has_ended
from testkit.service import (
    BACKEND,
    TAKES_JOBS,
    Service,
    StartService,
    upload,
)

of_each_form = pytest.mark.parametrize("processes", [1, 2])
"""The workers are watched in a thread of the service, or with its server processes."""


def start_with_workers(start: StartService, processes: int, workers: int = 1) -> Service:
    service = start(f"WORKERS={processes}", f"WORKER_PROCESSES={workers}").wait_until_it_serves()
    service.wait_for_workers(workers)
    return service


def and_children(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [*processes, *(child for one in processes for child in one.children(recursive=True))]


def nicenesses(processes: list[psutil.Process]) -> list[int]:
    """Return that of each; one of PostgreSQL's may have ended by now."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append(process.nice())
    return found


@of_each_form
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_start_and_end_with_the_service(
    start: StartService, processes: int, number: signal.Signals
) -> None:
    """A terminal's Ctrl-C reaches the workers too, which leave it to the service."""
    service = start_with_workers(start, processes, workers=2)
    assert len(service.workers()) == 2
    ours = service.all_processes()
    service.stop(number)
    assert_ended(ours)
    assert "Traceback" not in service.output
    assert " takes its place" not in service.output


@of_each_form
def test_workers_leave_the_processor_to_what_answers_clients(
    start: StartService, processes: int
) -> None:
    service = start_with_workers(start, processes)
    behind = and_children(service.workers())
    others = [process for process in service.all_processes() if process not in behind]
    assert others
    assert max(nicenesses(others)) < min(nicenesses(behind))


@of_each_form
def test_a_worker_that_is_killed_is_logged_and_replaced(
    start: StartService, processes: int
) -> None:
    service = start_with_workers(start, processes)
    (killed,) = service.workers()
    left = killed.children(recursive=True)
    killed.kill()
    service.wait_for_workers(2)
    assert f"worker {killed.pid} was killed by SIGKILL (kill -9" in service.output
    assert "; another takes its place in 1 s\n" in service.output
    assert len(service.workers()) == 1
    assert_ended(left)


@of_each_form
def test_a_worker_that_cannot_start_is_tried_again_and_the_service_goes_on(
    start_own: StartService, project: Path, processes: int
) -> None:
    module = project / "backend/app/composition/worker.py"
    whole = module.read_text()
    module.write_text(whole + "\n\ndef open_worker(*_):\n    raise OSError('broken')\n")
    service = start_own(f"WORKERS={processes}", "WORKER_PROCESSES=1").wait_until_it_serves()
    wait_until(lambda: service.output.count(" takes its place in ") == 2)
    first, second = [line for line in service.output.splitlines() if " takes its place in" in line]
    assert " has ended with status 1: OSError: broken; another takes its place in 1 s" in first
    assert second.endswith(" takes its place in 2 s")
    assert upload(service)
    module.write_text(whole)
    service.wait_for_workers(1)


def test_a_worker_that_the_system_cannot_start_is_tried_again() -> None:
    program = (
        "import logging, signal\n"
        "from app.server import process_kinds, supervisor\n"
        "logging.basicConfig(format='%(message)s')\n"
        "workers = process_kinds.Workers(['/nowhere/python'], 1)\n"
        "one = supervisor.Supervisor(b'', [workers])\n"
        "signal.signal(signal.SIGTERM, lambda *_: one.stop())\n"
        "one.run()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=BACKEND, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stderr
        first, second = (process.stderr.readline().rstrip() for _ in range(2))
        process.terminate()
        assert process.wait(TIMEOUT) == 0
    assert first.startswith("a worker cannot be started: FileNotFoundError: ")
    assert first.endswith("'/nowhere/python'; another takes its place in 1 s")
    assert second.endswith("'/nowhere/python'; another takes its place in 2 s")


def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    """With a beat of 0.2 s instead of 5."""
    beating = tmp_path / "beating.py"
    beating.write_text(
        "import socket, sys, time\n"
        "channel = socket.socket(fileno=int(sys.argv[1]))\n"
        "while True:\n"
        "    channel.send(b'.')\n"
        "    time.sleep(0.1)\n"
    )
    program = (
        "import logging, signal, sys\n"
        "from app.server import process_kinds, supervisor\n"
        "logging.basicConfig()\n"
        "supervisor.BEAT_SECONDS, supervisor.END_SECONDS = 0.2, 0.2\n"
        f"workers = process_kinds.Workers([sys.executable, {str(beating)!r}], 1)\n"
        "one = supervisor.Supervisor(b'', [workers])\n"
        "signal.signal(signal.SIGTERM, lambda *_: one.stop())\n"
        "one.run()\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = psutil.Popen([sys.executable, "-c", program], cwd=BACKEND, stderr=output)
    wait_until(process.children)
    (first,) = process.children()
    wait_until(lambda: str(beating) in first.cmdline())
    first.suspend()
    wait_until(lambda: has_ended(first) and process.children() not in ([], [first]))
    (second,) = process.children()
    process.terminate()
    assert process.wait(TIMEOUT) == 0
    assert_ended([first, second])
    assert f"worker {first.pid} hangs and is killed\n" in log.read_text()


@of_each_form
def test_workers_end_with_a_service_that_was_killed(
    start: StartService, database_url: URL, processes: int
) -> None:
    service = start(
        f"WORKERS={processes}", "WORKER_PROCESSES=1", f"DATABASE_URL={plain(database_url)}"
    ).wait_until_it_serves()
    service.wait_for_workers(1)
    workers = and_children(service.workers())
    service.main.kill()
    assert_ended(workers)


@of_each_form
def test_a_second_ctrl_c_does_not_wait_for_a_worker(start: StartService, processes: int) -> None:
    service = start_with_workers(start, processes)
    workers = and_children(service.workers())
    service.workers()[0].suspend()
    service.main.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        service.process.wait(3)
    service.main.send_signal(signal.SIGINT)
    service.process.wait(TIMEOUT)
    assert_ended(workers)
    assert "Traceback" not in service.output


@contextmanager
def working(folder: Path, *arguments: str, **settings: str) -> Iterator[tuple[psutil.Popen, Path]]:
    """Run `python -m app worker`; yield its process and its log."""
    log = folder / "worker-log"
    with log.open("wb") as output:
        process = psutil.Popen(
            [sys.executable, "-m", "app", "worker", *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), **settings},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_worker_works_beside_a_service_until_a_signal_ends_it(
    start: StartService, project: Path, number: signal.Signals
) -> None:
    start().wait_until_it_serves()
    with working(project) as (process, log):
        wait_until(lambda: TAKES_JOBS in log.read_text() or process.poll() is not None)
        children = process.children(recursive=True)
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 0, log.read_text()
    assert_ended(children)
    assert "Traceback" not in log.read_text()


def test_a_worker_without_a_database_says_so_in_one_line(tmp_path: Path) -> None:
    with working(tmp_path) as (process, log):
        assert process.wait(TIMEOUT) == 1
    (line,) = log.read_text().splitlines()
    assert line.startswith("No jobs are done: There is no embedded database in ")


def test_a_worker_is_ready_while_it_takes_jobs_and_has_its_database_and_storage(
    proxy: DatabaseProxy, tmp_path: Path
) -> None:
    port = lasting_port()
    settings = {"DATABASE_URL": plain(proxy.url), "DATA_DIR": str(tmp_path / "data")}
    with (
        working(tmp_path, "--health-port", str(port), **settings) as (process, log),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT) as client,
    ):
        wait_until(lambda: TAKES_JOBS in log.read_text() or process.poll() is not None)
        assert client.get("/health/live").json() == {"status": "ok", "version": __version__}
        wait_until(lambda: client.get("/health/ready").is_success)

        (tmp_path / "data" / "images").rename(tmp_path / "aside")
        wait_until(lambda: not client.get("/health/ready").is_success)
        response = client.get("/health/ready")
        assert_problem(response, 503, "not-ready")
        assert response.json()["down"] == ["storage"]
        (tmp_path / "aside").rename(tmp_path / "data" / "images")
        wait_until(lambda: client.get("/health/ready").is_success)

        proxy.hold()
        wait_until(lambda: client.get("/health/ready").json().get("down") == ["database", "queue"])
        proxy.release()
        wait_until(lambda: client.get("/health/ready").is_success)
        assert_problem(client.get("/docs"), 404, "not-found")
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_a_health_port_in_use_is_reported(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        working(tmp_path, "--health-port", str(taken.getsockname()[1])) as (process, log),
    ):
        assert process.wait(TIMEOUT) == 1
        port = taken.getsockname()[1]
    assert log.read_text().startswith(f"No jobs are done: Port {port} of 127.0.0.1 is in use")


def test_a_worker_without_a_service_answers_with_its_own_metrics(
    database_url: URL, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{lasting_port()}"
    settings = {"DATABASE_URL": plain(database_url), "DATA_DIR": str(tmp_path / "data")}
    with working(tmp_path, "--metrics-address", address, **settings) as (process, log):
        wait_until(lambda: TAKES_JOBS in log.read_text() or process.poll() is not None)
        wait_until(lambda: scrape(address).value("event_loop_lag_seconds_count", process="worker"))
        assert scrape(address).value("build_info", version=__version__) == 1
        assert httpx.get(f"http://{address}/health/live").status_code == 404
        process.terminate()
        assert process.wait(TIMEOUT) == 0


def test_a_metrics_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with working(tmp_path, "--metrics-address", "9464") as (process, log):
        assert process.wait(TIMEOUT) == 2
    last = log.read_text().splitlines()[-1]
    assert last.endswith("'9464' is not host:port, such as 127.0.0.1:9465")


def plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
