import re
from uuid import UUID

import httpx
import pytest
from starlette.exceptions import HTTPException

from app.api.problems.handlers import problem_response
from app.api.problems.kinds import INTERNAL_ERROR, PROBLEMS, problem_of
from app.api.problems.openapi import documented
from app.domain.errors import ImageNotFound, QuotaExceeded
from app.services.images import Images
from testkit import samples
from testkit.asgi import OpenClient
from testkit.logs import logging_to
from testkit.problems import assert_problem

IMAGES = "/api/v1/images"


@pytest.mark.parametrize(
    "path", ["/nothing", "/nothing/", "/api/v1/", "/api/v1/images//", "/docs//", "/%2e%2e/x"]
)
async def test_an_unknown_url_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert_problem(await client.get(path), 404, "not-found")


IMAGE_PATH = "/api/v1/images/00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/images/upload"),
        ("POST", "/api/v1/images/batch"),
        ("GET", "/api/v1/images"),
        ("HEAD", "/api/v1/images"),
        ("GET", IMAGE_PATH),
        ("DELETE", IMAGE_PATH),
        ("PATCH", IMAGE_PATH),
        ("POST", f"{IMAGE_PATH}/links"),
        ("POST", "/api/v1/images/batch-delete"),
        ("GET", f"{IMAGE_PATH}/file"),
        ("GET", f"{IMAGE_PATH}/thumbnails/300"),
        ("GET", "/api/v1/limits"),
        ("GET", "/health/ready"),
        ("GET", "/docs"),
        ("GET", "/problems"),
    ],
)
@pytest.mark.parametrize("below", ["", "/pics"])
async def test_a_trailing_slash_is_redirected_with_method_and_query(
    client: httpx.AsyncClient, method: str, path: str, below: str
) -> None:
    """The URL is relative, so that it is right below the path of a proxy too."""
    response = await client.request(method, f"{path}/?limit=5&cursor=a%2Fb")
    assert response.status_code == 307
    right = httpx.URL(f"https://example.org{below}{path}/?limit=5").join(
        response.headers["location"]
    )
    assert right == f"https://example.org{below}{path}?limit=5&cursor=a%2Fb"
    if method != "HEAD":
        assert path in assert_problem(response, 307, "trailing-slash")


async def test_an_upload_to_a_url_with_a_trailing_slash_arrives(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(
        "/api/v1/images/upload/", files={"file": samples.jpeg()}, follow_redirects=True
    )
    assert response.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/images/upload", "POST"),
        ("DELETE", "/api/v1/images/upload", "POST"),
        ("PUT", "/api/v1/images/batch", "POST"),
        ("POST", "/api/v1/images", "GET, HEAD"),
        ("PUT", IMAGE_PATH, "GET, HEAD, PATCH, DELETE"),
        ("GET", "/api/v1/images/batch-delete", "POST"),
        ("POST", "/api/v1/images/00000000-0000-0000-0000-000000000000/file", "GET, HEAD"),
        ("POST", f"{IMAGE_PATH}/thumbnails/300", "GET, HEAD"),
        ("POST", "/health/live", "GET, HEAD"),
        ("POST", "/docs/assets/swagger-ui.css", "GET, HEAD"),
        ("FROB", "/api/v1/images", "GET, HEAD"),
    ],
)
async def test_an_unsupported_method_is_answered_with_those_supported(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await client.request(method, path)
    assert allowed in assert_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == allowed


async def test_an_unexpected_error_is_answered_and_logged_but_not_shown(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(Images, "page", fail)
    async with open_client() as client:
        response = await client.get("/api/v1/images")
    assert_problem(response, 500, "internal-error")
    assert "secret" not in response.text
    assert "a secret of the inside" in caplog.text


async def test_what_a_library_raises_for_the_router_is_logged_too(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise HTTPException(418, "no problem of ours")

    monkeypatch.setattr(Images, "page", fail)
    with logging_to() as log:
        async with open_client() as client:
            response = await client.get("/api/v1/images")
    assert_problem(response, 500, "internal-error")
    [line] = log.about("internal-error: ")
    assert line["message"].endswith("418: no problem of ours")
    assert line["request_id"] == response.headers["x-request-id"]


async def test_the_type_of_every_problem_leads_to_its_description(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/problems")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    described = set(re.findall(r'<h2 id="([a-z-]+)">', page.text))
    assert described >= {problem.slug for problem in PROBLEMS.values()}
    assert described >= {"not-found", "method-not-allowed", "internal-error", "not-ready"}


@pytest.mark.parametrize(
    ("public_url", "path"),
    [
        ("", ""),
        ("https://images.example.org", ""),
        ("https://images.example.org/pics", "/pics"),
        ("https://images.example.org/a/b/", "/a/b"),
    ],
)
async def test_the_type_of_a_problem_leads_to_its_description_below_a_path_too(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch, public_url: str, path: str
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    changed = {"public_url": public_url.rstrip("/")}
    async with open_client(**changed) as client:
        missing = f"{IMAGES}/00000000-0000-0000-0000-000000000000"
        foreign = {"origin": "https://evil.example"}
        monkeypatch.setattr(Images, "page", fail)
        answers = {
            "not-found": await client.get("/nothing"),
            "method-not-allowed": await client.put(IMAGES),
            "image-not-found": await client.get(f"{missing}/file"),
            "invalid-request": await client.get(f"{missing}/file?download=perhaps"),
            "malformed-form": await client.post(
                f"{IMAGES}/upload", content=b"x", headers={"content-type": "multipart/form-data"}
            ),
            "cross-site-request": await client.delete(missing, headers=foreign),
            "unknown-host": await client.get(IMAGES, headers={"host": "evil.example"}),
            "internal-error": await client.get(IMAGES),
        }
    assert {slug: answer.json()["type"] for slug, answer in answers.items()} == {
        slug: f"{path}/problems#{slug}" for slug in answers
    }
    for answer in answers.values():
        assert answer.headers["content-length"] == str(len(answer.content))
    assert f"see {path}/docs." in answers["not-found"].json()["detail"]


class QuotaOfAlbum(QuotaExceeded):
    """An error without a problem of its own."""


async def test_an_error_is_answered_as_its_nearest_base_class(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vanished(ImageNotFound):
        pass

    async def fail(*_: object, **__: object) -> None:
        raise Vanished(UUID(int=0))

    monkeypatch.setattr(Images, "get", fail)
    async with open_client() as client:
        for path in (IMAGE_PATH, f"{IMAGE_PATH}/file", f"{IMAGE_PATH}/file?download=1"):
            assert_problem(await client.get(path), 404, "image-not-found")
    error = QuotaOfAlbum(1, 1, 60)
    assert problem_of(error).slug == "quota-exceeded"
    assert problem_response(error).headers["retry-after"] == "60"
    assert 429 in documented(QuotaOfAlbum)
    assert problem_of(ZeroDivisionError()) is INTERNAL_ERROR


def test_slugs_of_problems_are_unique() -> None:
    problems = set(PROBLEMS.values())
    assert len({problem.slug for problem in problems}) == len(problems)
