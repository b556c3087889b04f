"""What /docs and the OpenAPI document promise."""

import json
import re
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.problems.kinds import PROBLEMS
from testkit.asgi import OpenClient


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    loaded: dict[str, Any] = (await client.get("/openapi.json")).json()
    return loaded


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_the_document_passes_a_strict_validator(document: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(document).validate()


async def test_the_document_describes_every_call(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == {
        "POST /api/v1/images/upload",
        "POST /api/v1/images/batch",
        "GET /api/v1/images",
        "GET /api/v1/images/count",
        "GET /api/v1/images/{image_id}",
        "DELETE /api/v1/images/{image_id}",
        "PATCH /api/v1/images/{image_id}",
        "POST /api/v1/images/{image_id}/links",
        "GET /api/v1/images/{image_id}/statistics",
        "POST /api/v1/images/batch-delete",
        "GET /api/v1/images/{image_id}/file",
        "HEAD /api/v1/images/{image_id}/file",
        "GET /api/v1/images/{image_id}/thumbnails/{size}",
        "HEAD /api/v1/images/{image_id}/thumbnails/{size}",
        "GET /api/v1/limits",
        "GET /api/v1/clients/sharex.sxcu",
        "GET /api/v1/users/me",
        "GET /api/v1/users",
        "POST /api/v1/users",
        "GET /api/v1/users/{user_id}",
        "PATCH /api/v1/users/{user_id}",
        "DELETE /api/v1/users/{user_id}",
        "GET /api/v1/keys",
        "POST /api/v1/keys",
        "DELETE /api/v1/keys/{prefix}",
        "GET /health/live",
        "GET /health/ready",
    }


async def test_every_operation_has_its_own_short_name(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert "upload_image" in names


async def test_file_fields_are_ones_that_show_a_file_picker(document: dict[str, Any]) -> None:
    def field(path: str, name: str) -> dict[str, Any]:
        content = document["paths"][path]["post"]["requestBody"]["content"]
        properties: dict[str, dict[str, Any]] = content["multipart/form-data"]["schema"][
            "properties"
        ]
        return properties[name]

    assert field("/api/v1/images/upload", "file")["format"] == "binary"
    assert field("/api/v1/images/batch", "files")["items"]["format"] == "binary"


async def test_every_error_is_documented_with_an_example_of_its_body(
    document: dict[str, Any],
) -> None:
    described = set()
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            assert list(response["content"]) == ["application/problem+json"], (name, status)
            media = response["content"]["application/problem+json"]
            assert media["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}
            assert media["examples"], (name, status)
            for slug, example in media["examples"].items():
                described.add(slug)
                assert example["value"]["status"] == int(status)
                assert example["value"]["type"] == f"/problems#{slug}"
    internal = {"internal-error"}
    assert described >= {problem.slug for problem in PROBLEMS.values()} - internal


async def test_no_leftover_of_the_frameworks_own_errors(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in json.dumps(document)


async def test_no_other_page_shows_the_docs_page_to_have_its_buttons_clicked(
    client: httpx.AsyncClient,
) -> None:
    headers = (await client.get("/docs")).headers
    assert headers["content-security-policy"] == "frame-ancestors 'none'"


async def test_the_docs_page_loads_nothing_from_another_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=.?(https?:)?//", page.text)
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 3
    for asset in assets:
        assert (await client.get(urljoin("/docs", asset))).status_code == 200


@pytest.mark.parametrize("public_url", ["", "https://images.example.org/pics"])
async def test_the_docs_page_asks_for_nothing_at_the_root_of_the_host(
    open_client: OpenClient, public_url: str
) -> None:
    async with open_client(public_url=public_url) as client:
        page = (await client.get("/docs")).text
        described = (await client.get("/openapi.json")).json()["info"]["description"]
    assert not re.findall(r"""(?:src|href)=["']/""", page)
    assert "url: 'openapi.json'" in page
    assert "(problems)" in described


@pytest.mark.parametrize(
    ("public_url", "host", "address"),
    [
        ("", "localhost:8123", "http://localhost:8123"),
        ("", "[::1]:8123", "http://[::1]:8123"),
        ("https://images.example.org/pics", "127.0.0.1:8000", "https://images.example.org/pics"),
        ("https://images.example.org", "images.example.org", "https://images.example.org"),
    ],
)
async def test_examples_have_the_address_in_use(
    open_client: OpenClient, public_url: str, host: str, address: str
) -> None:
    async with open_client(public_url=public_url) as client:
        answer = await client.get("/openapi.json", headers={"host": host})
        head = await client.head("/openapi.json", headers={"host": host})
    assert head.headers["content-length"] == answer.headers["content-length"]
    addresses = re.findall(r"https?://[^/\s\"`]+(?=[^\s\"`]*/api/v1)|localhost:8000", answer.text)
    assert set(addresses) == {re.match("https?://[^/]+", address)[0]}  # type: ignore[index]
    document = answer.json()
    assert f"`curl -F file=@photo.jpg {address}/api/v1/images/upload`" in answer.text
    example = document["components"]["schemas"]["ImageOut"]["examples"][0]
    assert example["url"] == f"{address}/api/v1/images/{example['id']}/file"
    OpenAPIV31SpecValidator(document).validate()


async def test_a_host_cannot_break_the_document(open_client: OpenClient) -> None:
    for host in ('a"b', "a\\b", "a`b", "a<b>"):
        async with open_client() as client:
            answer = await client.get("/openapi.json", headers={"host": host})
        assert answer.json()["openapi"]


async def test_below_a_path_calls_and_types_have_that_path(open_client: OpenClient) -> None:
    async with open_client(public_url="https://images.example.org/pics") as client:
        answer = await client.get("/openapi.json")
    assert answer.json()["servers"] == [{"url": "/pics"}]
    types = re.findall(r'"type": ?"([^"]*#[^"]*)"', answer.text)
    assert types
    assert all(kind.startswith("/pics/problems#") for kind in types)
