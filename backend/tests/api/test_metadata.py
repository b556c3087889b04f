import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.database.engine import Database
from app.domain.metadata import Metadata
from app.schemas.metadata import METADATA_EXAMPLE
from app.statements.rendering import record_metadata
from testkit import samples
from testkit.asgi import OpenClient, Upload
from testkit.problems import assert_problem

IMAGES = "/api/v1/images"
JPEG = samples.jpeg()


async def test_metadata_of_an_image_is_what_the_upload_returned(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    """Nothing is known yet of what the file says of how it was made."""
    image = await upload(JPEG)
    response = await client.get(f"{IMAGES}/{image['id']}")
    assert (response.status_code, response.json()) == (200, image | {"metadata": None})


@pytest.mark.parametrize("metadata", [{}, METADATA_EXAMPLE])
async def test_one_image_is_shown_with_its_metadata_and_a_list_without(
    client: httpx.AsyncClient, upload: Upload, database: Database, metadata: Metadata
) -> None:
    image = await upload(JPEG)
    async with database.write() as session:
        await record_metadata(session, UUID(image["id"]), metadata)
    response = await client.get(f"{IMAGES}/{image['id']}")
    assert response.json() == image | {"metadata": metadata}
    assert (await client.get(IMAGES)).json()["items"] == [image]


async def test_a_field_of_a_later_version_is_not_shown(
    client: httpx.AsyncClient, upload: Upload, database: Database
) -> None:
    image = await upload(JPEG)
    async with database.write() as session:
        await record_metadata(session, UUID(image["id"]), {"iso": 400, "shutter_count": 7})
    response = await client.get(f"{IMAGES}/{image['id']}")
    assert response.json()["metadata"] == {"iso": 400}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ([{"iso": 400}], {}),
        ("text", {}),
        (5, {}),
        ({"iso": "400", "lens": None, "camera_make": ["Acme"], "f_number": 2.8}, {"f_number": 2.8}),
    ],
    ids=str,
)
async def test_of_odd_metadata_in_a_row_what_is_valid_is_shown(
    client: httpx.AsyncClient, upload: Upload, database: Database, stored: Any, shown: Metadata
) -> None:
    image = await upload(JPEG)
    async with database.write() as session:
        await record_metadata(session, UUID(image["id"]), stored)
    response = await client.get(f"{IMAGES}/{image['id']}")
    assert (response.status_code, response.json()) == (200, image | {"metadata": shown})


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
async def test_an_unknown_id_is_not_found(client: httpx.AsyncClient, method: str) -> None:
    missing = uuid4()
    body = {"filename": "a.jpg"} if method == "PATCH" else None
    response = await client.request(method, f"{IMAGES}/{missing}", json=body)
    assert str(missing) in assert_problem(response, 404, "image-not-found")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "image_id", ["1", "nonsense", "00000000-0000-0000-0000-00000000000g", "%00", "' OR 1=1", "😀"]
)
async def test_an_id_that_is_no_uuid_is_not_found(
    client: httpx.AsyncClient, method: str, image_id: str
) -> None:
    assert_problem(await client.request(method, f"{IMAGES}/{image_id}"), 404, "not-found")


async def test_a_deleted_image_is_gone_everywhere(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    response = await client.delete(f"{IMAGES}/{image['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert_problem(await client.delete(f"{IMAGES}/{image['id']}"), 404, "image-not-found")
    assert_problem(await client.get(f"{IMAGES}/{image['id']}"), 404, "image-not-found")
    assert_problem(await client.get(image["url"]), 404, "image-not-found")
    assert (await client.get(IMAGES)).json() == {"items": [], "next_cursor": None}


async def test_pages_follow_one_another_by_cursor_and_by_link(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    images = [await upload(JPEG, f"{number}.jpg") for number in range(5)]
    seen = []
    url = f"{IMAGES}?limit=2"
    while url:
        response = await client.get(url)
        page = response.json()
        seen += page["items"]
        link = response.headers.get("link", "")
        found = re.fullmatch(r'<(.*)>; rel="next"', link)
        assert bool(found) == bool(page["next_cursor"])
        url = found[1] if found else ""
        if found:
            expected = f"http://images.localhost{IMAGES}?limit=2&cursor={page['next_cursor']}"
            assert url == expected
    assert seen == images[::-1]


async def test_a_page_has_twenty_images_by_default(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    for _ in range(21):
        await upload(JPEG)
    assert len((await client.get(IMAGES)).json()["items"]) == 20
    assert len((await client.get(f"{IMAGES}?limit=100")).json()["items"]) == 21


async def test_a_cursor_stays_good_when_its_image_is_deleted(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    images = [await upload(JPEG) for _ in range(3)]
    cursor = (await client.get(f"{IMAGES}?limit=2")).json()["next_cursor"]
    await client.delete(f"{IMAGES}/{images[1]['id']}")
    page = (await client.get(f"{IMAGES}?limit=2&cursor={cursor}")).json()
    assert page["items"] == [images[0]]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "abc", "1.5", "", "9" * 30])
async def test_an_invalid_limit_is_named(client: httpx.AsyncClient, limit: str) -> None:
    response = await client.get(IMAGES, params={"limit": limit})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["in"] == "query"
    assert response.json()["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["", "abc", "x" * 36, "\x00", "😀", "a" * 5_000])
async def test_a_forged_cursor_is_named(client: httpx.AsyncClient, cursor: str) -> None:
    response = await client.get(IMAGES, params={"cursor": cursor})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["field"] == "cursor"


async def test_a_truncated_cursor_is_named(client: httpx.AsyncClient, upload: Upload) -> None:
    await upload(JPEG)
    await upload(JPEG)
    cursor = (await client.get(f"{IMAGES}?limit=1")).json()["next_cursor"]
    response = await client.get(IMAGES, params={"cursor": cursor[:-1]})
    assert_problem(response, 422, "invalid-request")


async def test_links_of_a_list_begin_with_the_public_url(open_client: OpenClient) -> None:
    async with open_client(public_url="https://images.example.org") as client:
        for _ in range(2):
            await client.post(f"{IMAGES}/upload", files={"file": JPEG})
        response = await client.get(f"{IMAGES}?limit=1")
    start = "https://images.example.org/api/v1/images"
    assert response.json()["items"][0]["url"].startswith(start)
    assert response.headers["link"].startswith(f"<{start}?")
