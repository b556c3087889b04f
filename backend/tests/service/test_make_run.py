"""The main job, by the two commands alone."""

import json
import re
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from testkit import samples
from testkit.forms import CONTENT_TYPE, form, part
from testkit.live import TIMEOUT, wait_until
from testkit.processes import assert_ended
from testkit.service import JPEG, StartService, command_of, download, listed_ids, upload
from testkit.sockets import UPLOAD


def of_program(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    """Return those whose command line has a name; one of PostgreSQL's may have ended by now."""
    return [process for process in processes if name in " ".join(command_of(process))]


@pytest.mark.parametrize("workers", [1, 2])
def test_upload_restart_download_delete_restart_stop(start: StartService, workers: int) -> None:
    """Each signal that people stop a service with, once."""
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    assert "Installing" not in service.output, "nothing changed, so nothing is installed again"
    image = upload(service)
    assert download(service, image) == JPEG
    processes = service.all_processes()
    servers = of_program(processes, "app.commands.server_process")
    assert len(servers) == (workers if workers > 1 else 0)
    service.stop(signal.SIGINT)
    assert_ended(processes)

    service = start(f"WORKERS={workers}").wait_until_it_serves()
    assert listed_ids(service) == [image["id"]]
    assert download(service, image) == JPEG
    response = httpx.delete(f"{service.url}/api/v1/images/{image['id']}", timeout=TIMEOUT)
    assert response.status_code == 204
    assert listed_ids(service) == []
    processes = service.all_processes()
    service.stop(signal.SIGTERM)
    assert_ended(processes)

    service = start(f"WORKERS={workers}").wait_until_it_serves()
    assert listed_ids(service) == []
    processes = service.all_processes()
    service.stop(signal.SIGHUP)  # of a terminal that is closed
    assert_ended(processes)


def test_what_was_acknowledged_survives_kill_9_of_everything(start: StartService) -> None:
    service = start().wait_until_it_serves()
    sent = [samples.sized_jpeg(200_000 + n) for n in range(10)]
    images = [upload(service, content) for content in sent]
    for process in service.all_processes():
        with suppress(psutil.NoSuchProcess):  # one of PostgreSQL's comes and goes
            process.kill()
    service.process.wait(TIMEOUT)

    service = start().wait_until_it_serves()
    wait_until(lambda: httpx.get(f"{service.url}/health/ready").status_code == 200)
    assert listed_ids(service) == [image["id"] for image in reversed(images)]
    assert [download(service, image) for image in images] == sent


def test_server_processes_whose_supervisor_was_killed_release_the_port(start: StartService) -> None:
    service = start("WORKERS=2").wait_until_it_serves()
    upload(service)
    workers = of_program(service.all_processes(), "app.commands.server_process")
    parent = psutil.Process(workers[0].ppid())
    assert len(workers) == 2
    parent.kill()
    assert_ended(workers)
    assert len(listed_ids(start().wait_until_it_serves())) == 1


def test_the_writer_process_ends_with_a_killed_service(
    start: StartService,
) -> None:
    service = start().wait_until_it_serves()
    upload(service)
    (writer,) = of_program(service.all_processes(), "writer_program")
    writer.parents()[0].kill()
    assert_ended([writer])
    assert len(listed_ids(start().wait_until_it_serves())) == 1  # and stops the database in the end


def test_a_database_that_outlived_its_service_is_replaced(start: StartService) -> None:
    service = start().wait_until_it_serves()
    image = upload(service)
    database = of_program(service.all_processes(), "postgres")
    for process in psutil.Process(service.process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # the writer ends with its service
            process.kill()
    service.process.wait(TIMEOUT)
    assert all(process.is_running() for process in database[:1])

    service = start().wait_until_it_serves()
    assert download(service, image) == JPEG
    processes = service.all_processes()
    service.stop()
    assert_ended([*processes, *database])


def test_services_with_their_own_data_run_side_by_side(start: StartService, tmp_path: Path) -> None:
    services = [start(data_dir=tmp_path / name) for name in ("one", "two")]
    images = [upload(service.wait_until_it_serves()) for service in services]
    assert [listed_ids(service) for service in services] == [[image["id"]] for image in images]


def test_a_second_service_on_the_same_embedded_database_is_refused(start: StartService) -> None:
    first = start().wait_until_it_serves()
    second = start()
    assert second.process.wait(TIMEOUT) != 0
    assert "Another service uses the embedded database in /" in second.output
    assert "Traceback" not in second.output
    assert httpx.get(f"{first.url}/health/ready").status_code == 200


def test_services_may_share_a_database_and_a_folder(start: StartService, database_url: URL) -> None:
    url = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    services = [start(f"DATABASE_URL={url}") for _ in range(2)]
    for service in services:
        service.wait_until_it_serves()
        assert "embedded" not in service.output
    wait_until(lambda: httpx.get(f"{services[0].url}/health/ready").status_code == 200)
    image = upload(services[0])
    assert download(services[1], image) == JPEG


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("WORKERS=none", "WORKERS from the environment: "),
        ("DATABASE_URL=mysql://x", "DATABASE_URL from the environment: must start with postgresql"),
        ("IMAGE_HOST_PORT=x", "IMAGE_HOST_PORT from the environment: "),
    ],
)
def test_a_bad_setting_is_reported_in_one_line(
    start: StartService, setting: str, line: str
) -> None:
    service = start(setting)
    assert service.process.wait(TIMEOUT) != 0
    assert service.output.startswith(f"Bad settings:\n{line}")
    assert "Traceback" not in service.output


def test_a_port_in_use_is_reported_before_anything_is_started(
    start: StartService, project: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = start(f"PORT={port}")
        assert service.process.wait(TIMEOUT) != 0
    assert service.output.startswith(f"Port {port} of 127.0.0.1 is in use; set HOST or PORT.")
    assert not (project / "data").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_under_way_is_finished_before_the_service_ends(
    start: StartService, workers: int
) -> None:
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    body = form(part(JPEG))
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as client:
        client.sendall(
            f"POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {CONTENT_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(body[:1000])
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(1)
        client.sendall(body[1000:])
        assert client.recv(65536).startswith(b"HTTP/1.1 201 ")
    stopping.join()
    assert len(list((service.log.parent / "data" / "images").glob("??/*.jpg"))) == 1


def test_the_json_log_is_valid_and_holds_no_secret(start: StartService) -> None:
    service = start("LOG_FORMAT=json", "API_KEY=s3cret-key").wait_until_it_serves()
    response = httpx.get(
        f"{service.url}/api/v1/images?token=hidden", headers={"authorization": "Bearer s3cret-key"}
    )
    assert response.status_code == 200
    service.stop()
    lines = [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]
    access = next(line for line in lines if line["logger"] == "app.api.middleware.access_log")
    assert access["request_id"] == response.headers["x-request-id"]
    assert (access["method"], access["path"], access["status"]) == ("GET", "/api/v1/images", 200)
    assert access["bytes"] == len(response.content)
    assert "s3cret" not in service.output
    assert "hidden" not in service.output


def test_help_lists_every_command(project: Path) -> None:
    listing = subprocess.run(["make", "help"], cwd=project, capture_output=True, text=True)  # noqa: S607, PLW1510
    phony = re.search(r"^\.PHONY: (.*)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert phony
    commands = set(phony[1].split())
    assert {"run", "test", "help"} <= commands
    assert set(re.findall(r"^  make ([a-z0-9-]+) +\S", listing.stdout, re.MULTILINE)) == commands


def test_no_proxy_is_trusted_by_default_and_no_server_is_named(start: StartService) -> None:
    service = start().wait_until_it_serves()
    response = httpx.post(
        f"{service.url}{UPLOAD}", files={"file": JPEG}, headers={"x-forwarded-proto": "https"}
    )
    assert response.json()["url"].startswith(f"{service.url}/")
    assert "server" not in response.headers


def test_a_signal_while_the_database_starts_leaves_nothing(start: StartService) -> None:
    service = start()
    wait_until(lambda: "Starting the embedded PostgreSQL" in service.output)
    service.stop(signal.SIGINT)
    assert "Traceback" not in service.output
    assert not (service.data_dir / "postgres" / "postmaster.pid").exists()


def test_after_a_delete_none_of_four_server_processes_serves_the_image(start: StartService) -> None:
    service = start("WORKERS=4").wait_until_it_serves()
    for _ in range(3):
        image = upload(service)
        path = f"{service.url}/api/v1/images/{image['id']}"
        known = {"if-none-match": f'"{image["id"].replace("-", "")}"'}

        def ask(number: int, path: str = path, known: dict[str, str] = known) -> int:
            # On a connection of its own, for whichever worker takes it.
            headers = known if number % 3 == 0 else {}
            address = path if number % 3 == 1 else f"{path}/file"
            return httpx.get(address, headers=headers, timeout=TIMEOUT).status_code

        with ThreadPoolExecutor(16) as clients:
            assert set(clients.map(ask, range(120))) == {200, 304}
            assert httpx.delete(path, timeout=TIMEOUT).status_code == 204
            assert set(clients.map(ask, range(120))) == {404}
