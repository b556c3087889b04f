"""What the service says to nginx in front of it, and what it believes of it."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.config.settings import Settings
from app.database.engine import Database
from app.statements.images import delete_images
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.asgi import CLIENT, OpenClient, Upload
from testkit.problems import assert_problem
from testkit.renditions import put_rendition

IMAGES = "/api/v1/images"
JPEG = samples.jpeg()
NGINX = "127.0.0.1"
BEHIND = {"front": "nginx", "trusted_proxies": (ip_network(NGINX),), "thumbnail_sizes": (150,)}
ASKS = {"X-Sendfile-Type": "X-Accel-Redirect"}
LEASE = "x-accel-expires"
LOCATION = "x-accel-redirect"


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield nginx itself, which every request here comes through."""
    async with open_client(NGINX, **BEHIND, front_lease_seconds=7) as client:
        yield client


def leased_from(response: httpx.Response) -> float:
    """Return the moment at which a lease of 7 seconds was given."""
    value = response.headers[LEASE]
    assert value.startswith("@")
    return float(value[1:]) - 7


@pytest.fixture
async def thumbnail(
    client: httpx.AsyncClient, upload: Upload, database: Database, settings: Settings
) -> str:
    """Upload an image whose thumbnail is there; return its path."""
    image = await upload(JPEG)
    storage = LocalStorage(settings.data_dir / "images")
    await put_rendition(database, storage, UUID(image["id"]), [150])
    await storage.close()
    return f"{IMAGES}/{image['id']}/thumbnails/150"


async def test_files_and_thumbnails_have_a_lease_from_before_they_were_looked_at(
    client: httpx.AsyncClient, upload: Upload, thumbnail: str
) -> None:
    image = await upload(JPEG)
    for url in (image["url"], thumbnail):
        begin = int(time.time())
        response = await client.get(url)
        assert begin <= leased_from(response) <= time.time()
        assert response.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
        etag = response.headers["etag"]
        renewed = await client.get(url, headers={"If-None-Match": etag})
        assert renewed.status_code == 304
        assert begin <= leased_from(renewed) <= time.time()


async def test_a_file_that_takes_long_to_find_has_a_lease_that_began_before(
    client: httpx.AsyncClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = await upload(JPEG)
    opened = LocalStorage.open
    opened_at: list[float] = []

    async def open_late(storage: LocalStorage, *args: Any) -> Any:
        await asyncio.sleep(1.1)
        opened_at.append(time.time())
        return await opened(storage, *args)

    monkeypatch.setattr(LocalStorage, "open", open_late)
    response = await client.get(image["url"])
    assert leased_from(response) < int(opened_at[0])


async def test_an_image_that_is_not_there_has_a_lease_too(client: httpx.AsyncClient) -> None:
    """Else nginx lets identical requests wait for one another, one after the other."""
    response = await client.get(f"{IMAGES}/00000000-0000-4000-8000-000000000000/file")
    assert_problem(response, 404, "image-not-found")
    assert leased_from(response) <= time.time()
    names = list(response.headers)
    assert names.index(LEASE) < names.index("cache-control"), "nginx 1.22 takes the first"


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer x"}, {"Authorization": ""}])
async def test_an_answer_to_a_request_with_authorization_has_no_lease(
    client: httpx.AsyncClient, upload: Upload, headers: dict[str, str]
) -> None:
    image = await upload(JPEG)
    assert LEASE not in (await client.get(image["url"], headers=headers)).headers
    assert LEASE not in (await client.get(f"{image['url']}x", headers=headers)).headers


async def test_what_is_saved_and_every_other_answer_has_no_lease(
    client: httpx.AsyncClient, upload: Upload, settings: Settings
) -> None:
    image = await upload(JPEG)
    lost = await upload(JPEG)
    shutil.rmtree(settings.data_dir / "images" / lost["storage_key"][:2])
    for path in (
        f"{image['url']}?download=1",
        f"{IMAGES}/{image['id']}",
        f"{IMAGES}/{image['id']}/thumbnails/7",
        lost["url"],
        IMAGES,
        "/",
        "/docs",
        "/nothing",
    ):
        assert LEASE not in (await client.get(path)).headers, path


async def test_only_nginx_is_given_leases_and_locations(open_client: OpenClient) -> None:
    async with open_client(CLIENT, **BEHIND) as stranger:
        stored = await stranger.post(f"{IMAGES}/upload", files={"file": JPEG})
        response = await stranger.get(stored.json()["url"], headers=ASKS)
        assert {LEASE, LOCATION}.isdisjoint(response.headers)
        assert response.content == JPEG
    async with open_client(NGINX, trusted_proxies=BEHIND["trusted_proxies"]) as other_proxy:
        response = await other_proxy.get(stored.json()["url"], headers=ASKS)
        assert {LEASE, LOCATION}.isdisjoint(response.headers)
        assert response.content == JPEG


async def test_a_file_may_be_served_for_longer_where_no_service_can_be_reached(
    open_client: OpenClient,
) -> None:
    async with open_client(NGINX, **BEHIND, front_stale_seconds=60) as client:
        stored = await client.post(f"{IMAGES}/upload", files={"file": JPEG})
        headers = (await client.get(stored.json()["url"])).headers
        assert headers.get_list("cache-control")[-1].endswith("stale-if-error=60")
        assert list(headers).index("cache-control") < list(headers).index(LEASE)
        missing = await client.get(f"{IMAGES}/00000000-0000-4000-8000-000000000000/file")
        assert missing.headers["cache-control"] == "no-store"


async def test_a_renamed_image_is_sent_whole_for_nginx_changes_no_header_by_304(
    client: httpx.AsyncClient, upload: Upload, open_client: OpenClient
) -> None:
    image = await upload(JPEG)
    await client.patch(f"{IMAGES}/{image['id']}", json={"filename": "new.jpg"})
    known = {"If-None-Match": (await client.get(image["url"])).headers["etag"]}
    response = await client.get(image["url"], headers=known)
    assert (response.status_code, response.content) == (200, JPEG)
    assert "new.jpg" in response.headers["content-disposition"]
    saved = await client.get(f"{image['url']}?download=1", headers=known)
    assert saved.status_code == 304
    async with open_client(CLIENT) as browser:
        assert (await browser.get(image["url"], headers=known)).status_code == 304


@pytest.mark.parametrize(
    ("query", "headers"), [("?download=1", {}), ("", {"Authorization": "Bearer x"})]
)
async def test_what_nginx_may_not_keep_it_sends_from_the_folder(
    client: httpx.AsyncClient, thumbnail: str, settings: Settings, query: str, headers: Any
) -> None:
    for url in (f"{thumbnail}{query}", f"{thumbnail.rpartition('/thumb')[0]}/file{query}"):
        whole = await client.get(url, headers=headers)
        response = await client.get(url, headers=headers | ASKS)
        assert (response.status_code, response.content) == (200, b"")
        prefix, _, path = response.headers.pop(LOCATION).rpartition("files/")
        assert prefix == "/image-host/"
        assert (settings.data_dir / "images" / path).read_bytes() == whole.content
        for one in (response, whole):
            del one.headers["content-length"], one.headers["x-request-id"]
        renamed = ("x-accept-ranges", "x-cache-control", "x-content-disposition")
        fields = {
            name.removeprefix("x-") if name in renamed else name: value
            for name, value in response.headers.items()
        }
        assert fields == dict(whole.headers)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("HEAD", {}),
        ("GET", {"Range": "bytes=0-9"}),
        ("GET", {"Range": "bytes=x"}),
        ("GET", {"If-Match": "*"}),
        ("GET", {"If-None-Match": '"x"'}),
        ("GET", {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}),
        ("GET", {"If-Unmodified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"}),
        ("GET", {"X-Sendfile-Type": "X-Sendfile"}),
    ],
)
async def test_what_nginx_would_answer_in_its_own_way_the_service_sends(
    client: httpx.AsyncClient, upload: Upload, method: str, fields: dict[str, str]
) -> None:
    url = (await upload(JPEG))["url"] + "?download=1"
    response = await client.request(method, url, headers=ASKS | fields)
    assert response.is_success
    assert LOCATION not in response.headers
    assert len(response.content) == (
        0 if method == "HEAD" else int(response.headers["content-length"])
    )


async def test_nginx_is_not_sent_to_a_file_that_is_missing(
    client: httpx.AsyncClient, upload: Upload, settings: Settings
) -> None:
    image = await upload(JPEG)
    (settings.data_dir / "images" / image["storage_key"][:2] / image["storage_key"]).unlink()
    response = await client.get(f"{image['url']}?download=1", headers=ASKS)
    assert_problem(response, 500, "image-damaged")


@pytest.mark.parametrize("by", ["delete", "batch-delete"])
async def test_a_delete_is_answered_when_every_lease_is_over(
    open_client: OpenClient, by: str
) -> None:
    async with open_client(NGINX, **BEHIND, front_lease_seconds=1) as client:
        image = (await client.post(f"{IMAGES}/upload", files={"file": JPEG})).json()
        reading = await begin_reading(client, image["url"])
        if by == "delete":
            response = await client.delete(f"{IMAGES}/{image['id']}")
        else:
            response = await client.post(f"{IMAGES}/batch-delete", json={"ids": [image["id"]]})
        answered_at = time.time()
        assert response.is_success
        assert int(answered_at) > await reading


async def begin_reading(client: httpx.AsyncClient, url: str) -> asyncio.Task[int]:
    """Read a file until it is gone; return the last second in which nginx may serve it."""

    async def read(last: int) -> int:
        while (response := await client.get(url)).status_code == 200:
            last = int(response.headers[LEASE][1:])
        return last

    return asyncio.create_task(read(int((await client.get(url)).headers[LEASE][1:])))


async def test_a_repeated_delete_is_answered_no_earlier(open_client: OpenClient) -> None:
    """The answer to the first may have been lost, while its lease was not over."""
    async with open_client(NGINX, **BEHIND, front_lease_seconds=1) as client:
        image = (await client.post(f"{IMAGES}/upload", files={"file": JPEG})).json()
        reading = await begin_reading(client, image["url"])
        first = asyncio.create_task(client.delete(f"{IMAGES}/{image['id']}"))
        last = await reading
        second = await client.delete(f"{IMAGES}/{image['id']}")
        answered_at = time.time()
        assert_problem(second, 404, "image-not-found")
        assert int(answered_at) > last
        assert (await first).status_code == 204


@pytest.mark.parametrize("by", ["delete", "batch-delete"])
async def test_nor_is_one_after_a_delete_that_was_killed_before_it_removed_the_file(
    open_client: OpenClient, database: Database, by: str
) -> None:
    async with open_client(NGINX, **BEHIND, front_lease_seconds=1) as client:
        image = (await client.post(f"{IMAGES}/upload", files={"file": JPEG})).json()
        reading = await begin_reading(client, image["url"])
        async with database.write() as session:
            await delete_images(session, [UUID(image["id"])])
        if by == "delete":
            response = await client.delete(f"{IMAGES}/{image['id']}")
            assert_problem(response, 404, "image-not-found")
        else:
            response = await client.post(f"{IMAGES}/batch-delete", json={"ids": [image["id"]]})
            assert response.json()["deleted"] == []
        assert int(time.time()) > await reading


async def test_assets_are_leased_for_long_and_the_page_is_not(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert LEASE not in page.headers
    asset = page.text.partition('src="')[2].partition('"')[0]
    assert (await client.get(f"/{asset}")).headers[LEASE] == "31536000"


async def test_the_request_id_of_nginx_is_taken_over(open_client: OpenClient) -> None:
    sent = {"X-Request-ID": "0123456789abcdef0123456789abcdef"}
    async with open_client(NGINX, **BEHIND) as client:
        answers = [
            await client.get(path, headers=sent) for path in ("/health/live", "/nothing", IMAGES)
        ]
        assert {one.headers["x-request-id"] for one in answers} == {sent["X-Request-ID"]}
        for forged in ("x" * 32, "0123", "0123456789abcdef0123456789abcdef\tforged", ""):
            answer = await client.get("/health/live", headers={"X-Request-ID": forged})
            assert answer.headers["x-request-id"] != forged
    async with open_client(CLIENT, **BEHIND) as stranger:
        answer = await stranger.get("/health/live", headers=sent)
        assert answer.headers["x-request-id"] != sent["X-Request-ID"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("127.0.0.1:8080", 200),
        ("images.example.org", 200),
        ("rebound.example.com", 421),
    ],
)
async def test_dns_rebinding_opens_nothing_behind_nginx_either(
    open_client: OpenClient, host: str, status: int
) -> None:
    async with open_client(NGINX, **BEHIND, public_url="https://images.example.org") as client:
        assert (await client.get(IMAGES, headers={"Host": host})).status_code == status


async def test_nginx_gets_a_lease_neither_for_private_files_nor_for_requests_with_a_key(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    """Of a private image it may remember for a while that strangers find none."""
    public, private = await upload(JPEG), await upload(JPEG, is_public="false")
    for headers in ({"authorization": "Bearer a"}, {"x-api-key": "a"}):
        assert LEASE not in (await client.get(public["url"], headers=headers)).headers
        absent = await client.get(private["url"].partition("?")[0], headers=headers)
        assert absent.status_code == 404
        assert LEASE not in absent.headers
    assert LEASE in (await client.get(private["url"].partition("?")[0])).headers
    signed = await client.get(private["url"])
    assert signed.status_code == 200
    assert LEASE not in signed.headers
    assert "stale-if-error" not in str(signed.headers)


async def test_nginx_sends_private_files_from_the_folder(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    private = await upload(JPEG, is_public="false")
    answer = await client.get(private["url"], headers=ASKS)
    assert answer.headers[LOCATION].endswith(private["storage_key"])
    assert answer.headers["x-cache-control"].startswith("private, max-age=")
    stranger = await client.get(private["url"].partition("?")[0], headers=ASKS)
    assert (stranger.status_code, LOCATION in stranger.headers) == (404, False)
