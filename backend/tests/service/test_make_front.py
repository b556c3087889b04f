"""`make front` on a machine with Debian's nginx."""

import signal
import socket
import subprocess
from pathlib import Path

import httpx
import psutil
import pytest

from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_nginx
from testkit.service import StartService, make, upload

BEHIND = ("FRONT=nginx", "TRUSTED_PROXIES=127.0.0.1")


def answers_at(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.ConnectError:
        return False


@needs_nginx
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_what_the_service_has_until_a_signal(
    start: StartService, project: Path, number: int
) -> None:
    ports = (f"PORT={lasting_port()}", f"FRONT_PORT={lasting_port()}")
    service = start(*BEHIND, *ports, "FRONT_LEASE_SECONDS=20").wait_until_it_serves()
    image = upload(service)
    url = f"http://127.0.0.1:{ports[1].removeprefix('FRONT_PORT=')}"
    log = project / "front.log"
    with log.open("wb") as output:
        front = subprocess.Popen(  # noqa: S603 - our own arguments
            ["make", "front", *BEHIND, *ports, f"DATA_DIR={service.data_dir}"],  # noqa: S607
            cwd=project,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: answers_at(url))
        assert url in log.read_text()
        path = httpx.URL(image["url"]).path
        answers = [httpx.get(f"{url}{path}{query}") for query in ("", "", "?download=1")]
        assert {answer.content for answer in answers} == {httpx.get(image["url"]).content}
        wait_until(lambda: log.read_text().count(f"GET {path}") == 3)
        assert "cache=HIT" in log.read_text()
    finally:
        (nginx,) = psutil.Process(front.pid).children()
        nginx.send_signal(number)
        assert front.wait(TIMEOUT) == 0
    assert [line for line in log.read_text().splitlines() if "[emerg]" in line] == []


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ((), "set FRONT=nginx and TRUSTED_PROXIES=127.0.0.1"),
        (("FRONT=nginx",), "needs TRUSTED_PROXIES"),
        ((*BEHIND, "PORT=0"), "set PORT"),
        (("FRONT=nginx", "TRUSTED_PROXIES=10.0.0.1"), "name it in TRUSTED_PROXIES"),
        ((*BEHIND, "HOST=::1"), "does not trust ::1,"),
        ((*BEHIND, 'DATA_DIR=a "folder"'), "set DATA_DIR"),
        ((*BEHIND, "PUBLIC_URL=https://example.org/a(b"), "PUBLIC_URL may have only"),
    ],
)
def test_what_is_missing_is_one_line(project: Path, settings: tuple[str, ...], advice: str) -> None:
    done = make(project, "front", *settings)
    assert done.returncode != 0
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_output_to_the_journal_is_refused(project: Path) -> None:
    """A socket cannot be opened by a name, such as /dev/stdout."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(  # noqa: S603
            ["make", "front", *BEHIND],  # noqa: S607
            cwd=project,
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "send its output to a file or pipe" in done.stderr
