"""The trace of an upload is that of its job, in the lines of another process."""

import json
from typing import Any

import httpx

from testkit import samples
from testkit.live import TIMEOUT, wait_until
from testkit.service import Service, StartService
from testkit.sockets import UPLOAD

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


def lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.output.splitlines() if line.startswith("{")]


def test_a_worker_logs_the_trace_of_the_upload_whose_image_it_renders(start: StartService) -> None:
    service = start(
        *("LOG_FORMAT=json", "LOG_LEVEL=debug", "TRUSTED_PROXIES=127.0.0.1", "WORKERS=2"),
        "WORKER_PROCESSES=1",
    ).wait_until_it_serves()
    files = {"file": ("photo.jpg", samples.jpeg())}
    answer = httpx.post(f"{service.url}{UPLOAD}", files=files, headers=PARENT, timeout=TIMEOUT)
    job = f"job render:{answer.json()['id']}"

    def of_the_job() -> list[dict[str, Any]]:
        return [line for line in lines(service) if line["message"].startswith(job)]

    wait_until(lambda: len(of_the_job()) == 2, 4 * TIMEOUT)
    assert [line["message"] for line in of_the_job()] == [
        f"{job} begins, after 0 attempts",
        f"{job} ends: succeeded",
    ]
    assert {line["trace_id"] for line in of_the_job()} == {TRACE}
    (access,) = [line for line in lines(service) if line.get("path") == UPLOAD]
    assert access["trace_id"] == TRACE
    assert access["user_agent"].startswith("python-httpx/")
    assert access["request_id"] == answer.headers["x-request-id"]


def test_above_info_a_service_logs_no_requests(start: StartService) -> None:
    service = start("LOG_LEVEL=warning").wait_until_it_serves()
    answer = httpx.get(f"{service.url}/health/live", timeout=TIMEOUT)
    assert answer.headers["x-request-id"]
    service.stop()
    assert "GET /health/live" not in service.output
