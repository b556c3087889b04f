"""Clients are sent to the store for files, by addresses that soon expire."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from app.config.settings import Settings
from app.database.engine import Database
from testkit import samples
from testkit.asgi import open_client
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.renditions import put_rendition
from testkit.settings import over_bucket
from testkit.storages import storage_over

pytestmark = needs_ceph
JPEG = samples.sized_jpeg(42_000)


@pytest.fixture
def changed(settings: Settings, ceph: Ceph, bucket: str) -> Settings:
    return over_bucket(settings, ceph, bucket).model_copy(update={"storage_redirect": True})


@pytest.fixture
async def client(changed: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(changed) as client:
        yield client


async def stored(client: httpx.AsyncClient, filename: str = "photo.jpg") -> str:
    """Upload an image; return the URL of its file."""
    answer = await client.post("/api/v1/images/upload", files={"file": (filename, JPEG)})
    url: str = answer.json()["url"]
    return url


async def stored_privately(client: httpx.AsyncClient) -> dict[str, str]:
    """Upload a private image; return it."""
    sent = {"file": ("photo.jpg", JPEG)}
    answer = await client.post("/api/v1/images/upload", files=sent, data={"is_public": "false"})
    image: dict[str, str] = answer.json()
    return image


def ask(address: str, **headers: str) -> httpx.Response:
    """Ask the store as a client does that was sent there."""
    return httpx.get(address, headers=headers)


async def test_a_client_is_sent_to_the_file(client: httpx.AsyncClient, ceph: Ceph) -> None:
    answer = await client.get(await stored(client))
    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["cache-control"] == "private, max-age=60"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["location"].startswith(f"{ceph.endpoint}/")
    assert parse_qs(urlsplit(answer.headers["location"]).query)["X-Amz-Expires"] == ["300"]
    file = await asyncio.to_thread(ask, answer.headers["location"])
    assert file.content == JPEG
    assert file.headers["content-type"] == "image/jpeg"
    assert file.headers["content-disposition"] == 'inline; filename="photo.jpg"'
    assert file.headers["cache-control"] == "private, max-age=300"


async def test_a_file_is_saved_under_its_name(client: httpx.AsyncClient) -> None:
    answer = await client.get(await stored(client, 'köln "1" & 2%.jpg'), params={"download": 1})
    assert answer.headers["cache-control"] == "no-store", "for the name may change"
    file = await asyncio.to_thread(ask, answer.headers["location"])
    encoded = "k%C3%B6ln%20%221%22%20%26%202%25.jpg"
    disposition = f"attachment; filename=\"k_ln _1_ & 2_.jpg\"; filename*=UTF-8''{encoded}"
    assert file.headers["content-disposition"] == disposition


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("HEAD", {}, 200),
        ("GET", {"If-None-Match": "ETAG"}, 304),
        ("GET", {"If-None-Match": '"x"'}, 200),
        ("GET", {"If-Match": "ETAG"}, 200),
        ("GET", {"If-Match": '"x"'}, 412),
        ("GET", {"Range": "bytes=0-9"}, 206),
        ("GET", {"Range": "bytes=99999999-"}, 416),
    ],
)
async def test_what_names_the_files_tag_or_a_range_is_answered_here(
    client: httpx.AsyncClient, method: str, fields: dict[str, str], status: int
) -> None:
    url = await stored(client)
    etag = (await client.head(url)).headers["etag"]
    headers = {name: value.replace("ETAG", etag) for name, value in fields.items()}
    answer = await client.request(method, url, headers=headers)
    assert answer.status_code == status
    assert "location" not in answer.headers


async def test_thumbnails_are_sent_from_here(
    client: httpx.AsyncClient, database: Database, ceph: Ceph, bucket: str
) -> None:
    image_id = (await stored(client)).split("/")[-2]
    storage = storage_over(ceph, bucket)
    await put_rendition(database, storage, UUID(image_id), [150])
    await storage.close()
    answer = await client.get(f"/api/v1/images/{image_id}/thumbnails/150")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")


async def test_after_a_delete_an_address_leads_to_nothing(client: httpx.AsyncClient) -> None:
    url = await stored(client)
    address = (await client.get(url)).headers["location"]
    assert (await client.delete(url.removesuffix("/file"))).status_code == 204
    assert (await asyncio.to_thread(ask, address)).status_code == 404
    answer = await client.get(url)
    assert answer.status_code in {302, 404}, "remembered for two seconds at most"
    if answer.status_code == 302:
        assert (await asyncio.to_thread(ask, answer.headers["location"])).status_code == 404


async def test_a_private_file_is_only_behind_its_signed_address(
    client: httpx.AsyncClient, ceph: Ceph
) -> None:
    image = await stored_privately(client)
    stranger = await client.get(image["url"].partition("?")[0])
    assert (stranger.status_code, "location" in stranger.headers) == (404, False)
    answer = await client.get(image["url"])
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{ceph.endpoint}/")
    assert parse_qs(urlsplit(answer.headers["location"]).query)["X-Amz-Expires"] == ["300"]
    file = await asyncio.to_thread(ask, answer.headers["location"])
    assert file.content == JPEG
    assert file.headers["cache-control"].startswith("private")


async def test_an_address_of_a_private_file_in_the_store_expires_with_the_clients_own(
    client: httpx.AsyncClient,
) -> None:
    image = await stored_privately(client)
    made = await client.post(f"/api/v1/images/{image['id']}/links", json={"expires_in": 60})
    answer = await client.get(made.json()["url"])
    (seconds,) = parse_qs(urlsplit(answer.headers["location"]).query)["X-Amz-Expires"]
    assert 0 < int(seconds) <= 60


async def test_an_image_made_private_is_behind_no_address_of_the_store_that_was_given_before(
    client: httpx.AsyncClient,
) -> None:
    url = await stored(client)
    address = (await client.get(url)).headers["location"]
    changed = await client.patch(url.removesuffix("/file"), json={"is_public": False})
    assert changed.status_code == 200
    assert (await asyncio.to_thread(ask, address)).status_code == 404
    answer = await client.get(url)
    assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert (await client.get(changed.json()["url"])).status_code == 302


async def test_browsers_may_show_images_of_the_store_on_the_page(
    client: httpx.AsyncClient, ceph: Ceph
) -> None:
    policy = (await client.get("/")).headers["content-security-policy"]
    assert f"img-src 'self' blob: {ceph.endpoint};" in policy


async def test_nobody_is_sent_to_a_store_unless_that_is_wanted(
    changed: Settings, ceph: Ceph
) -> None:
    async with open_client(changed.model_copy(update={"storage_redirect": False})) as client:
        answer = await client.get(await stored(client))
        assert (answer.status_code, answer.content) == (200, JPEG)
        assert ceph.endpoint not in (await client.get("/")).headers["content-security-policy"]
