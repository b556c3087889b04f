import httpx
import pytest
from pydantic import SecretStr

from app.domain.actor import Access
from testkit import samples
from testkit.asgi import OpenClient
from testkit.problems import assert_problem

KEY = "correct-horse_battery.staple~1+/="
IMAGE = "/api/v1/images/00000000-0000-0000-0000-000000000000"
PROTECTED = [
    ("POST", "/api/v1/images/upload"),
    ("POST", "/api/v1/images/batch"),
    ("GET", "/api/v1/images"),
    ("GET", IMAGE),
    ("DELETE", IMAGE),
    ("PATCH", IMAGE),
    ("POST", f"{IMAGE}/links"),
    ("POST", "/api/v1/images/batch-delete"),
]
BAD = {
    "none": {},
    "wrong": {"authorization": "Bearer wrong"},
    "empty": {"authorization": "Bearer "},
    "beginning": {"authorization": f"Bearer {KEY[:-1]}"},
    "longer": {"authorization": f"Bearer {KEY}x"},
    "other scheme": {"authorization": f"Basic {KEY}"},
    "no scheme": {"authorization": KEY},
    "not ASCII": {"authorization": "Bearer sch\u00f6n".encode("latin-1")},
}


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize("case", BAD)
async def test_a_request_without_the_key_is_rejected(
    open_client: OpenClient, method: str, path: str, case: str
) -> None:
    async with open_client(api_key=SecretStr(KEY)) as client:
        response = await client.request(method, path, headers=BAD[case])  # type: ignore[arg-type]
        assert_problem(response, 401, "invalid-key")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Basic YTpi"), ("x-api-key", KEY)],
        [("x-api-key", KEY), ("authorization", "Basic YTpi")],
        [("x-api-key", "wrong"), ("authorization", f"Bearer {KEY}")],
    ],
)
async def test_a_password_of_a_proxy_in_front_is_no_key_of_ours(
    client: httpx.AsyncClient, open_client: OpenClient, headers: list[tuple[str, str]]
) -> None:
    assert (
        await client.get("/api/v1/images", headers={"authorization": "Basic YTpi"})
    ).status_code == 200
    async with open_client(api_key=SecretStr(KEY)) as protected:
        assert (await protected.get("/api/v1/images", headers=headers)).status_code == 200


async def test_requests_with_the_key_succeed(open_client: OpenClient) -> None:
    headers = {"authorization": f"bearer {KEY}"}
    async with open_client(api_key=SecretStr(KEY)) as client:
        files = {"file": samples.jpeg()}
        response = await client.post("/api/v1/images/upload", files=files, headers=headers)
        assert response.status_code == 201
        url = response.headers["location"]
        assert (await client.get("/api/v1/images", headers=headers)).status_code == 200
        assert (await client.get(url, headers=headers)).status_code == 200
        renamed = await client.patch(url, headers=headers, json={"filename": "a.jpg"})
        assert renamed.status_code == 200
        assert (await client.delete(url, headers=headers)).status_code == 204


async def test_files_health_and_docs_need_no_key(open_client: OpenClient) -> None:
    async with open_client(api_key=SecretStr(KEY)) as client:
        response = await client.post(
            "/api/v1/images/upload",
            files={"file": samples.jpeg()},
            headers={"authorization": f"Bearer {KEY}"},
        )
        assert (await client.get(response.json()["url"])).status_code == 200
        for path in (
            "/api/v1/limits",
            "/health/live",
            "/health/ready",
            "/docs",
            "/openapi.json",
            "/problems",
        ):
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("case", BAD)
async def test_a_wrong_key_does_no_harm_where_none_is_needed(
    open_client: OpenClient, case: str
) -> None:
    async with open_client(api_key=SecretStr(KEY)) as client:
        for path in (f"{IMAGE}/file", f"{IMAGE}/file?download=1"):
            response = await client.get(path, headers=BAD[case])  # type: ignore[arg-type]
            assert_problem(response, 404, "image-not-found")


@pytest.mark.parametrize(
    ("access", "without_key"),
    [
        ("open", {"upload_image", "list_images", "rename_image", "delete_image"}),
        ("upload", {"upload_image"}),
        ("keys", set[str]()),
    ],
)
async def test_the_document_says_which_scope_a_call_needs_and_what_needs_no_key(
    open_client: OpenClient, access: Access, without_key: set[str]
) -> None:
    needed = {
        "upload_image": "write",
        "list_images": "read",
        "rename_image": "write",
        "delete_image": "delete",
    }
    async with open_client(access=access) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    calls = {call["operationId"]: call for path in paths.values() for call in path.values()}
    for name, scope in needed.items():
        expected: list[dict[str, list[str]]] = [{"HTTPBearer": [scope]}, {"APIKeyHeader": [scope]}]
        if name == "delete_image":
            expected.append({"DeleteToken": []})
        if name in without_key:
            expected.append({})
        assert calls[name]["security"] == expected
