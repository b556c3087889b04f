"""What may be done without an API key, by the setting ACCESS; and delete tokens."""

from typing import Any
from urllib.parse import urldefrag
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from app.domain.actor import Access
from testkit import samples
from testkit.asgi import OpenClient
from testkit.database_proxy import DatabaseProxy
from testkit.live import StoredFiles
from testkit.problems import assert_problem

IMAGES = "/api/v1/images"
UPLOAD = f"{IMAGES}/upload"
BATCH = f"{IMAGES}/batch"
JPEG = samples.jpeg()
KEY = "correct-horse"
ADMINISTRATOR = {"authorization": f"Bearer {KEY}"}
PAGE = {"origin": "https://other.example", "sec-fetch-site": "cross-site"}


async def uploaded(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    response = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)
    assert response.status_code == 201
    image: dict[str, Any] = response.json()
    return image


async def by_token(client: httpx.AsyncClient, image: dict[str, Any], token: str) -> httpx.Response:
    url = f"{IMAGES}/{image['id']}"
    return await client.delete(url, headers={"x-delete-token": token})


@pytest.mark.parametrize("access", Access)
async def test_whoever_uploads_an_image_can_delete_it_without_a_key(
    open_client: OpenClient, access: Access
) -> None:
    key = "" if access is Access.OPEN else KEY
    async with open_client(access=access, api_key=SecretStr(key)) as client:
        image = await uploaded(client, **(ADMINISTRATOR if key else {}))
        batch = await client.post(
            BATCH, files=[("files", JPEG)] * 2, headers=ADMINISTRATOR if key else {}
        )
        for each in (image, *batch.json()["uploaded"]):
            assert (await by_token(client, each, each["delete_token"])).status_code == 204
            assert (await client.get(each["url"])).status_code == 404
            again = await by_token(client, each, each["delete_token"])
            assert_problem(again, 404, "image-not-found")


async def test_only_the_token_of_the_image_itself_deletes_it(open_client: OpenClient) -> None:
    async with open_client(access=Access.UPLOAD, api_key=SecretStr(KEY)) as client:
        image, other = await uploaded(client), await uploaded(client)
        token = image["delete_token"]
        for wrong in (other["delete_token"], token[:-1], token + "A", token.swapcase(), "x", "ä"):
            headers = {b"x-delete-token": wrong.encode(), b"authorization": b"Bearer wrong"}
            response = await client.delete(f"{IMAGES}/{image['id']}", headers=headers)
            assert_problem(response, 404, "image-not-found")
        assert_problem(await by_token(client, {"id": uuid4()}, token), 404, "image-not-found")
        assert (await client.get(image["url"])).status_code == 200


async def test_a_token_is_for_nothing_but_the_delete(open_client: OpenClient) -> None:
    async with open_client(access=Access.UPLOAD, api_key=SecretStr(KEY)) as client:
        image = await uploaded(client)
        url, token = f"{IMAGES}/{image['id']}", image["delete_token"]
        for headers in ({"x-delete-token": token}, {"x-api-key": token}):
            for method, path in (
                ("GET", url),
                ("PATCH", url),
                ("GET", IMAGES),
                ("POST", f"{IMAGES}/batch-delete"),
            ):
                response = await client.request(method, path, headers=headers)
                assert_problem(response, 401, "invalid-key")


async def test_the_delete_url_leads_to_the_page_and_hides_the_token_from_every_log(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with open_client(public_url="https://images.example/pics") as client:
        image = await uploaded(client)
        page, fragment = urldefrag(image["delete_url"])
        assert page == "https://images.example/pics/delete"
        assert fragment == f"{image['id']}.{image['delete_token']}"
        await by_token(client, image, image["delete_token"][:-1] + "!")
        await by_token(client, image, image["delete_token"])
    assert image["delete_token"][:-1] not in caplog.text


async def test_no_answer_but_that_of_the_upload_has_the_token(open_client: OpenClient) -> None:
    async with open_client() as client:
        image = await uploaded(client)
        url = f"{IMAGES}/{image['id']}"
        for response in (
            await client.get(url),
            await client.get(IMAGES),
            await client.patch(url, json={"filename": "other.jpg"}),
        ):
            assert "delete" not in response.text


async def test_where_anyone_may_upload_all_else_needs_a_key(open_client: OpenClient) -> None:
    async with open_client(access=Access.UPLOAD, api_key=SecretStr(KEY)) as client:
        image = await uploaded(client)
        url = f"{IMAGES}/{image['id']}"
        assert (await client.get(image["url"])).status_code == 200
        for method, path in (
            ("GET", IMAGES),
            ("GET", f"{IMAGES}/count"),
            ("GET", url),
            ("PATCH", url),
            ("DELETE", url),
            ("POST", f"{url}/links"),
            ("POST", f"{IMAGES}/batch-delete"),
        ):
            assert_problem(await client.request(method, path), 401, "invalid-key")
        listed = await client.get(IMAGES, headers=ADMINISTRATOR)
        assert [each["id"] for each in listed.json()["items"]] == [image["id"]]
        assert (await client.get("/api/v1/limits")).json()["access"] == "upload"


async def test_where_anyone_may_upload_the_quota_of_the_address_holds_and_a_wrong_key_does_not(
    open_client: OpenClient,
) -> None:
    async with open_client(access=Access.UPLOAD, uploads_per_hour_per_ip=1) as client:
        wrong = await client.post(UPLOAD, files={"file": JPEG}, headers=ADMINISTRATOR)
        assert_problem(wrong, 401, "invalid-key")
        await uploaded(client)
        assert_problem(await client.post(UPLOAD, files={"file": JPEG}), 429, "quota-exceeded")


@pytest.mark.parametrize(("path", "field"), [(UPLOAD, "file"), (BATCH, "files")])
async def test_without_a_key_nothing_is_uploaded_that_its_sender_could_not_fetch(
    open_client: OpenClient, path: str, field: str
) -> None:
    private = {"data": {"is_public": "false"}, "files": {field: JPEG}}
    async with open_client(access=Access.UPLOAD, api_key=SecretStr(KEY)) as client:
        assert_problem(await client.post(path, **private), 401, "invalid-key")  # type: ignore[arg-type]
        assert (await client.get(IMAGES, headers=ADMINISTRATOR)).json()["items"] == []
        response = await client.post(path, headers=ADMINISTRATOR, **private)  # type: ignore[arg-type]
        assert response.status_code == 201
    async with open_client() as client:
        assert (await client.post(path, **private)).status_code == 201  # type: ignore[arg-type]


async def test_where_anyone_may_upload_no_page_of_another_site_may_have_a_browser_do_it(
    open_client: OpenClient,
) -> None:
    async with open_client(access=Access.UPLOAD, api_key=SecretStr(KEY)) as client:
        response = await client.post(UPLOAD, files={"file": JPEG}, headers=PAGE)
        assert_problem(response, 403, "cross-site-request")
        rebound = await client.post(UPLOAD, files={"file": JPEG}, headers={"host": "any.example"})
        assert_problem(rebound, 421, "unknown-host")
        image = await uploaded(client)
        headers = PAGE | {"x-delete-token": image["delete_token"]}
        response = await client.delete(f"{IMAGES}/{image['id']}", headers=headers)
        assert_problem(response, 403, "cross-site-request")


async def test_an_upload_is_refused_before_it_is_stored_if_its_token_cannot_be_made(
    open_client: OpenClient, proxy: DatabaseProxy, stored_files: StoredFiles
) -> None:
    """Otherwise the answer to one that is stored would be an error."""
    url = SecretStr(proxy.url.render_as_string(hide_password=False))
    async with open_client(database_url=url) as client:
        proxy.cut("SELECT installation.secret", "before")
        before = stored_files()
        response = await client.post(UPLOAD, files={"file": JPEG})
        assert_problem(response, 503, "database-unavailable")
        assert stored_files() == before
        await uploaded(client)
