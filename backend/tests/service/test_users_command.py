"""`python -m app users` and `keys`, beside a running service with its embedded database."""

import os
import subprocess
import sys
import time

import httpx

from testkit.live import TIMEOUT
from testkit.service import BACKEND, Service, StartService, connections_to_all_processes

ME = "/api/v1/users/me"


def run(service: Service, *arguments: str) -> list[str]:
    """Run a command beside a service; return the lines that it prints."""
    process = subprocess.run(  # noqa: S603 - our own arguments
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


def until_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while client.get(ME, headers=headers).status_code != httpx.codes.UNAUTHORIZED:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_keys_made_and_revoked_by_commands_are_known_to_every_process_of_a_running_service(
    start: StartService,
) -> None:
    service = start("WORKERS=2", "ACCESS=keys").wait_until_it_serves()
    run(service, "users", "add", "ada@example.org", "--quota-bytes", "1000")
    first, second = (
        {"Authorization": f"Bearer {run(service, 'keys', 'create', 'ADA@example.org')[-1]}"}
        for _ in range(2)
    )
    prefix = first["Authorization"].split()[1][:11]
    with connections_to_all_processes(service) as clients:
        for client in clients:
            assert client.get(ME, headers=first).json()["user"]["email"] == "ada@example.org"
        run(service, "keys", "revoke", prefix)
        for client in clients:
            until_refused(client, first)
            assert client.get(ME, headers=second).is_success
        run(service, "users", "disable", "ada@example.org")
        for client in clients:
            until_refused(client, second)
    service.stop()
    assert first["Authorization"].split("_", 2)[2] not in service.output
