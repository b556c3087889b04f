"""Server processes: how they start, and what becomes of one that ends or hangs."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from app.commands.serve import COMMAND_CONNECTIONS
from app.database.embedded import shared_postgres
from app.server.process_handle import BEAT_SECONDS, DRAIN_SECONDS
from app.server.process_kinds import STABLE_SECONDS
from testkit.databases import fetch_value
from testkit.forms import CONTENT_TYPE
from testkit.live import TIMEOUT, wait_until
from testkit.processes import assert_ended, has_ended
from testkit.service import BACKEND, START_SECONDS, StartService, starting_services, upload


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_start_ends_with_its_reason_and_announces_nothing(
    start_own: StartService, project: Path, workers: int
) -> None:
    (project / "backend/app/web/page.css").unlink()
    service = start_own(f"WORKERS={workers}")
    assert service.process.wait(START_SECONDS) != 0
    reasons = [line for line in service.output.splitlines() if "page.css" in line]
    assert len(reasons) == 1, service.output
    assert reasons[0].startswith("The service cannot be kept up: FileNotFoundError: ")
    assert "Image host:" not in service.output
    assert "Traceback" not in service.output
    assert not (service.data_dir / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_defect_in_the_program_ends_the_start_with_a_traceback(
    start_own: StartService, project: Path, workers: int
) -> None:
    with (project / "backend/app/composition/http_app.py").open("a") as program:
        program.write("\n\ndef create_process_app(*_):\n    raise RuntimeError('broken')\n")
    service = start_own(f"WORKERS={workers}")
    assert service.process.wait(START_SECONDS) != 0
    assert "The service cannot be kept up: RuntimeError: broken\n" in service.output
    assert "Traceback" in service.output
    assert "Image host:" not in service.output


def test_server_processes_that_are_slow_to_load_are_waited_for(
    start_own: StartService, project: Path
) -> None:
    with (project / "backend/app/composition/http_app.py").open("a") as program:
        program.write(
            "\n\ndef create_process_app(settings, observer, build=create_process_app):\n"
            "    __import__('time').sleep(8)\n"
            "    return build(settings)\n"
        )
    service = start_own("WORKERS=2").wait_until_it_serves()
    assert httpx.get(f"{service.url}/health/live").status_code == 200
    assert " takes its place" not in service.output


def test_server_processes_that_end_as_soon_as_they_start_end_the_service(
    start_own: StartService, project: Path
) -> None:
    service = start_own("WORKERS=2").wait_until_it_serves()
    (project / "backend/app/web/page.css").unlink()
    time.sleep(STABLE_SECONDS)  # so that the one that is killed is none of the five
    service.serving()[0].kill()
    assert service.process.wait(2 * TIMEOUT) != 0
    assert service.output.count(" takes its place") == 5
    assert "5 server processes in a row ended as soon as they were started" in service.output
    assert "page.css" in service.output.splitlines()[-2], "the last line is make's"


def test_a_server_process_that_is_killed_is_logged_and_replaced(start: StartService) -> None:
    service = start("WORKERS=2").wait_until_it_serves()
    killed, ended = service.serving()
    killed.kill()
    wait_until(lambda: len(workers := service.serving()) == 2 and killed not in workers)
    ended.terminate()
    wait_until(lambda: service.output.count(" takes its place") == 2)
    lines = [line for line in service.output.splitlines() if " takes its place" in line]
    assert (
        f"server process {killed.pid} was killed by SIGKILL (kill -9, or the system is sho"
        in lines[0]
    )
    assert f"server process {ended.pid} has ended with status 0; server process " in lines[1]
    assert upload(service)


def test_no_request_fails_while_one_of_the_server_processes_ends(start: StartService) -> None:
    """The address is announced when all of them serve."""
    service = start("WORKERS=2").wait_until_it_serves()
    service.serving()[0].terminate()
    for _ in range(50):
        assert httpx.get(f"{service.url}/health/live", timeout=TIMEOUT).status_code == 200


def test_a_server_process_that_is_killed_while_the_service_stops_is_logged(
    start: StartService,
) -> None:
    service = start("WORKERS=2").wait_until_it_serves()
    stopped, other = service.serving()
    stopped.suspend()
    service.main.send_signal(signal.SIGTERM)
    other.wait(TIMEOUT)
    stopped.kill()
    assert service.process.wait(TIMEOUT) == 0
    (line,) = [one for one in service.output.splitlines() if " while the service stopped" in one]
    assert f"server process {stopped.pid} was killed by SIGKILL (kill -9" in line


@pytest.mark.parametrize(
    ("beats", "most_missed"), [(b".", 100), (b"", 9)], ids=["after a beat", "before the first"]
)
def test_a_server_process_that_hangs_is_killed_and_replaced(
    tmp_path: Path, beats: bytes, most_missed: int
) -> None:
    """With a beat of 0.2 s instead of 5."""
    program_file = tmp_path / "hanging.py"
    program_file.write_text(
        "import socket, sys, time\n"
        "channel = socket.socket(fileno=int(sys.argv[2]))\n"
        f"channel.send({beats!r})\n"
        "time.sleep(1000)\n"
    )
    program = (
        "import logging, signal, socket, sys\n"
        "from app.server import process_kinds, supervisor\n"
        "logging.basicConfig()\n"
        "supervisor.BEAT_SECONDS, supervisor.END_SECONDS = 0.2, 0.2\n"
        f"supervisor.MOST_MISSED_AT_START = {most_missed}\n"
        f"command = [sys.executable, {str(program_file)!r}]\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "servers = process_kinds.ServerProcesses(command, 1, listener, lambda: None)\n"
        "one = supervisor.Supervisor(b'', [servers])\n"
        "signal.signal(signal.SIGTERM, lambda *_: one.stop())\n"
        "one.run()\n"
        "sys.exit(not servers.have_served)\n"
    )
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=BACKEND, stderr=output)  # noqa: S603
    wait_until(lambda: "takes its place" in log.read_text() or process.poll() is not None)
    processes = psutil.Process(process.pid).children()
    process.terminate()
    assert process.wait(TIMEOUT) == (0 if beats else 1), "1 = before it has served"
    assert_ended(processes)
    assert " hangs and is killed\n" in log.read_text()


def test_a_server_process_that_the_system_cannot_start_ends_the_service_with_the_reason() -> None:
    program = (
        "import socket, sys\n"
        "from app.commands import serve\n"
        "from app.config.settings import Settings\n"
        "sys.executable = '/nowhere/python'\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "try:\n"
        "    serve._serve_by_processes(Settings(workers=2), listener, lambda: None)\n"
        "except serve.CannotServe as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], cwd=BACKEND, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("The service cannot be kept up: FileNotFoundError: ")
    assert "/nowhere/python" in done.stdout


async def test_the_embedded_database_allows_the_connections_that_the_settings_ask_for(
    start: StartService,
) -> None:
    service = start("WORKERS=2", "DATABASE_CONNECTIONS=90").wait_until_it_serves()
    with shared_postgres(service.data_dir / "postgres") as url:
        assert await fetch_value(url, "SHOW max_connections") == str(2 * 90 + COMMAND_CONNECTIONS)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_started_by_nohup_outlives_its_terminal(project: Path, workers: int) -> None:
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which what is started inherits
    try:
        with starting_services(project) as start:
            service = start(f"WORKERS={workers}").wait_until_it_serves()
            os.killpg(service.process.pid, signal.SIGHUP)
            assert upload(service)
            assert not has_ended(service.main)
    finally:
        signal.signal(signal.SIGHUP, ignored)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_ctrl_c_does_not_wait_for_clients(start: StartService, workers: int) -> None:
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            "POST /api/v1/images/upload HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {CONTENT_TYPE}\r\n"
            "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        service.main.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(2)
        service.main.send_signal(signal.SIGINT)
        service.process.wait(DRAIN_SECONDS - 5)
    assert "Traceback" not in service.output


def test_server_processes_end_with_a_supervisor_that_was_stopped_and_then_killed(
    start: StartService, database_url: URL
) -> None:
    """It leaves beats unread, which the system reports to the other end as an error."""
    url = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    service = start("WORKERS=2", f"DATABASE_URL={url}").wait_until_it_serves()
    workers = service.serving()
    service.main.send_signal(signal.SIGSTOP)
    time.sleep(2 * BEAT_SECONDS)
    service.main.send_signal(signal.SIGKILL)
    assert_ended(workers)
