"""What /docs and the OpenAPI document promise."""

import json
import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.problems import PROBLEMS


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
        "GET /api/v1/images/{image_id}",
        "DELETE /api/v1/images/{image_id}",
        "GET /api/v1/images/{image_id}/file",
        "HEAD /api/v1/images/{image_id}/file",
        "GET /api/v1/limits",
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


async def test_the_docs_page_loads_nothing_from_another_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert not re.search(r"(src|href)=.?(https?:)?//", page.text)
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(assets) == 3
    for asset in assets:
        assert (await client.get(asset)).status_code == 200
    assert "url: '/openapi.json'" in page.text
