"""`python -m app users` and `keys`, beside a running service with its embedded database."""

import time

import httpx

from testkit.live import TIMEOUT
from testkit.service import StartService, connections_to_all_processes, run_beside

ME = "/api/v1/users/me"


def until_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while client.get(ME, headers=headers).status_code != httpx.codes.UNAUTHORIZED:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_keys_made_and_revoked_by_commands_are_known_to_every_process_of_a_running_service(
    start: StartService,
) -> None:
    service = start("WORKERS=2", "ACCESS=keys").wait_until_it_serves()
    run_beside(service, "users", "add", "ada@example.org", "--quota-bytes", "1000")
    first, second = (
        {"Authorization": f"Bearer {run_beside(service, 'keys', 'create', 'ADA@example.org')[-1]}"}
        for _ in range(2)
    )
    prefix = first["Authorization"].split()[1][:11]
    with connections_to_all_processes(service) as clients:
        for client in clients:
            assert client.get(ME, headers=first).json()["user"]["email"] == "ada@example.org"
        run_beside(service, "keys", "revoke", prefix)
        for client in clients:
            until_refused(client, first)
            assert client.get(ME, headers=second).is_success
        run_beside(service, "users", "disable", "ada@example.org")
        for client in clients:
            until_refused(client, second)
    service.stop()
    assert first["Authorization"].split("_", 2)[2] not in service.output
