"""Another name for an image; deletion of many."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.api.middleware.request_body import DEFAULT_CAP
from app.database.engine import Database
from app.domain.errors import ImageNotFound
from app.statements.rendering import record_metadata
from testkit import samples
from testkit.asgi import Upload
from testkit.problems import assert_problem

IMAGES = "/api/v1/images"
BATCH_DELETE = f"{IMAGES}/batch-delete"
NO_IMAGE = "00000000-0000-0000-0000-000000000000"
JPEG = samples.jpeg()


async def rename(client: httpx.AsyncClient, image: dict[str, Any], name: object) -> httpx.Response:
    return await client.patch(f"{IMAGES}/{image['id']}", json={"filename": name})


async def test_a_renamed_image_has_its_new_name_and_the_time_and_all_else_stays(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    assert image["updated_at"] == image["created_at"]
    response = await rename(client, image, "Zürich 😀.jpg")
    renamed = response.json()
    assert response.status_code == 200
    assert renamed["updated_at"] > image["updated_at"]
    changes = {"filename": "Zürich 😀.jpg", "updated_at": renamed["updated_at"]}
    assert renamed == image | changes
    assert (await client.get(f"{IMAGES}/{image['id']}")).json() == renamed | {"metadata": None}
    assert (await client.get(IMAGES)).json()["items"] == [renamed]


async def test_a_renamed_image_is_found_by_its_new_name_and_its_camera_and_not_by_the_old_name(
    client: httpx.AsyncClient, upload: Upload, database: Database
) -> None:
    image = await upload(JPEG, "before.jpg")
    async with database.write() as session:
        await record_metadata(session, UUID(image["id"]), {"camera_model": "Xenon 5"})
    renamed = (await rename(client, image, "後で.jpg")).json()
    for query, found in {"before": [], "後": [renamed], "xenon": [renamed]}.items():
        assert (await client.get(IMAGES, params={"q": query})).json()["items"] == found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\x00b\r\nc: d.jpg", "ab c: d.jpg"),
        ("x" * 300 + ".jpeg", "x" * 250 + ".jpeg"),
        ("<script>alert(1)<.script>", "<script>alert(1)<.script>"),
        ("e\u0301te\u0301.jpg", "\u00e9t\u00e9.jpg"),
    ],
)
async def test_a_new_name_is_made_harmless_as_that_of_an_upload(
    client: httpx.AsyncClient, upload: Upload, name: str, expected: str
) -> None:
    image = await upload(JPEG)
    assert (await rename(client, image, name)).json()["filename"] == expected


@pytest.mark.parametrize("name", ["", " ", "...", "a/", "\u202e", "\x00\x07", "\u200d"])
async def test_a_name_of_which_nothing_is_left_is_refused_in_one_sentence(
    client: httpx.AsyncClient, upload: Upload, name: str
) -> None:
    image = await upload(JPEG)
    response = await rename(client, image, name)
    detail = assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"] == [{"in": "body", "field": "filename", "detail": detail}]
    assert (await client.get(IMAGES)).json()["items"] == [image]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"filename": None}, "filename"),
        ({"filename": 5}, "filename"),
        ({"filename": ["a"]}, "filename"),
        ({"is_public": None}, "is_public"),
        ({"is_public": "false"}, "is_public"),
        ({"filename": "a.jpg", "is_public": 0}, "is_public"),
        ({"filename": "a.jpg", "id": NO_IMAGE}, "id"),
        (["a.jpg"], "body"),
        ("a.jpg", "body"),
    ],
    ids=str,
)
async def test_of_a_body_that_the_call_does_not_take_the_field_is_named(
    client: httpx.AsyncClient, upload: Upload, body: object, field: str
) -> None:
    image = await upload(JPEG)
    response = await client.patch(f"{IMAGES}/{image['id']}", json=body)
    assert_problem(response, 422, "invalid-request")
    (error,) = response.json()["errors"]
    assert (error["in"], error["field"]) == ("body", field)
    assert (await client.get(IMAGES)).json()["items"] == [image]


BROKEN_JSON = {
    "empty": b"",
    "cut": b'{"filename": "a',
    "no JSON": b"filename=a.jpg",
    "two values": b'{"filename": "a"}{}',
    "half a surrogate": b'{"filename": "\\ud800"}',
    "invalid UTF-8": b'{"filename": "\xff"}',
    "UTF-16": '{"filename": "a"}'.encode("utf-16"),
    "with a byte order mark": '{"filename": "a"}'.encode("utf-8-sig"),
    "deep": b"[" * 50_000,
    "a huge number": b'{"filename": ' + b"9" * 50_000 + b"}",
}


@pytest.mark.parametrize("case", BROKEN_JSON)
async def test_a_body_that_is_no_json_is_refused(
    client: httpx.AsyncClient, upload: Upload, case: str
) -> None:
    image = await upload(JPEG)
    response = await client.patch(
        f"{IMAGES}/{image['id']}",
        content=BROKEN_JSON[case],
        headers={"content-type": "application/json"},
    )
    assert_problem(response, 422, "invalid-request")
    assert len(response.content) < 1_000


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=a"},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_body_that_is_not_said_to_be_json_is_an_unsupported_media_type(
    client: httpx.AsyncClient, upload: Upload, method: str, headers: dict[str, str]
) -> None:
    """So that no form of another site's page is taken for one."""
    image = await upload(JPEG)
    path = f"{IMAGES}/{image['id']}" if method == "PATCH" else BATCH_DELETE
    content = json.dumps({"filename": "a.jpg"} if method == "PATCH" else {"ids": [image["id"]]})
    response = await client.request(method, path, content=content.encode(), headers=headers)
    assert "application/json" in assert_problem(response, 415, "unsupported-media-type")
    assert response.headers["accept"] == "application/json"
    assert (await client.get(IMAGES)).json()["items"] == [image]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
async def test_json_may_have_parameters(
    client: httpx.AsyncClient, upload: Upload, content_type: str
) -> None:
    image = await upload(JPEG)
    response = await client.patch(
        f"{IMAGES}/{image['id']}",
        content=b'{"filename": "a.jpg"}',
        headers={"content-type": content_type},
    )
    assert response.json()["filename"] == "a.jpg"


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_body_that_is_too_large_is_refused_unread(
    client: httpx.AsyncClient, upload: Upload, method: str
) -> None:
    image = await upload(JPEG)
    path = f"{IMAGES}/{image['id']}" if method == "PATCH" else BATCH_DELETE
    response = await client.request(method, path, json={"filename": "x" * 10_000_000})
    assert_problem(response, 413, "body-too-large")
    assert response.json()["allowed"] == DEFAULT_CAP
    assert (await client.get(IMAGES)).json()["items"] == [image]


async def test_an_answer_names_twenty_bad_inputs_at_most(client: httpx.AsyncClient) -> None:
    response = await client.post(BATCH_DELETE, json={"ids": ["x"] * 100})
    detail = assert_problem(response, 422, "invalid-request")
    assert detail.startswith("ids.0: ")
    assert [error["field"] for error in response.json()["errors"]] == [
        f"ids.{number}" for number in range(20)
    ]


async def test_of_a_field_that_the_call_does_not_take_the_printable_beginning_is_named(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(BATCH_DELETE, json={"ids": [NO_IMAGE], "a\0\u202e" * 4_000: 1})
    assert_problem(response, 422, "invalid-request")
    assert [error["field"] for error in response.json()["errors"]] == ["a" * 34]


async def test_a_batch_of_images_is_deleted_and_those_that_there_were_not_are_named(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    images = [await upload(JPEG) for _ in range(3)]
    missing = str(uuid4())
    ids = [images[2]["id"], missing, images[0]["id"], images[2]["id"], missing]
    response = await client.post(BATCH_DELETE, json={"ids": ids})
    failure = {"id": missing, "status": 404, "detail": str(ImageNotFound(UUID(missing)))}
    assert response.status_code == 200
    assert response.json() == {"deleted": [ids[0], ids[2]], "failed": [failure]}
    assert (await client.get(IMAGES)).json()["items"] == [images[1]]
    for gone in (images[0], images[2]):
        assert_problem(await client.get(gone["url"]), 404, "image-not-found")
    again = await client.post(BATCH_DELETE, json={"ids": [images[0]["id"]]})
    assert again.json()["deleted"] == []
    assert [failed["id"] for failed in again.json()["failed"]] == [images[0]["id"]]


async def test_a_hundred_missing_images_are_named_one_by_one(client: httpx.AsyncClient) -> None:
    ids = [str(uuid4()) for _ in range(100)]
    answer = (await client.post(BATCH_DELETE, json={"ids": ids})).json()
    assert answer["deleted"] == []
    assert [failed["id"] for failed in answer["failed"]] == ids


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": None}, "ids"),
        ({"ids": NO_IMAGE}, "ids"),
        ({"ids": [NO_IMAGE] * 101}, "ids"),
        ({"ids": [NO_IMAGE, "1"]}, "ids.1"),
        ({"ids": [NO_IMAGE], "all": True}, "all"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_batch_that_the_call_does_not_take_deletes_nothing(
    client: httpx.AsyncClient, upload: Upload, body: dict[str, Any], field: str
) -> None:
    image = await upload(JPEG)
    if isinstance(body.get("ids"), list) and body["ids"]:
        body["ids"][0] = image["id"]
    response = await client.post(BATCH_DELETE, json=body)
    assert_problem(response, 422, "invalid-request")
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert (await client.get(IMAGES)).json()["items"] == [image]
