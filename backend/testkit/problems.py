"""What every error answer must look like."""

import json

import httpx

from app.api.problems.problem import RETRY_AFTER_SECONDS


def assert_problem(response: httpx.Response, status: int, kind: str) -> str:
    """Check an error answer wholly, also that 503 says when to retry; return its sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]
    if status != httpx.codes.TOO_MANY_REQUESTS:  # which knows the moment
        retried = status == 503 or kind == "upload-under-way"
        retry_after = str(RETRY_AFTER_SECONDS) if retried else None
        assert response.headers.get("retry-after") == retry_after
    body = response.json()
    assert body["type"] == f"/problems#{kind}"
    assert body["status"] == status
    assert body["title"]
    detail = body["detail"]
    assert isinstance(detail, str)
    assert detail
    assert "Traceback" not in response.text
    return detail


def read_problem(answer: bytes) -> tuple[int, str]:
    """Check that bytes are one problem that ends the connection; return its status and kind."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), answer
    assert b"connection: close" in head.lower()
    problem = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())
    return problem["status"], problem["type"].removeprefix("/problems#")
