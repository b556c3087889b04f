"""What every error answer must look like."""

import httpx


def assert_problem(response: httpx.Response, status: int, kind: str) -> str:
    """Check an error answer wholly, and give its sentence."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-request-id"]
    body = response.json()
    assert body["type"] == f"/problems#{kind}"
    assert body["status"] == status
    assert body["title"]
    detail = body["detail"]
    assert isinstance(detail, str)
    assert detail
    assert "Traceback" not in response.text
    return detail
