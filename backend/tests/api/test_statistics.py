"""Which answers with an image's file count as downloads, and which bytes."""

import asyncio
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.types import Message

from app.api.images.file_response import FileResponse
from app.config.settings import Settings
from app.database.engine import Database
from app.services import statistics
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.asgi import OpenClient, Upload
from testkit.live import TIMEOUT
from testkit.problems import assert_problem
from testkit.renditions import put_rendition

JPEG = samples.jpeg()
SIZE = len(JPEG)
IMAGES = "/api/v1/images"
NGINX = "127.0.0.1"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "INTERVAL_SECONDS", 0.02)


async def counted(client: httpx.AsyncClient, image: dict[str, Any], downloads: int) -> int:
    """Return how many bytes were sent once so many downloads are counted, today's included."""
    found: dict[str, Any] = {}
    async with asyncio.timeout(TIMEOUT):
        while found.get("downloads") != downloads:
            response = await client.get(f"{IMAGES}/{image['id']}/statistics")
            assert response.status_code == 200
            found = response.json()
    assert sum(day["downloads"] for day in found["days"]) == downloads
    assert sum(day["bytes"] for day in found["days"]) == found["bytes"]
    return int(found["bytes"])


async def test_whole_files_count_also_when_they_are_saved(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image, other = await upload(JPEG), await upload(JPEG)
    assert await counted(client, image, 0) == 0
    for url in (image["url"], image["url"], f"{image['url']}?download=1"):
        assert (await client.get(url)).content == JPEG
    assert await counted(client, image, 3) == 3 * SIZE
    assert await counted(client, other, 0) == 0


async def test_a_range_is_a_download_if_it_has_the_first_byte_and_its_bytes_count_anyway(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    for span in ("bytes=0-9", "bytes=10-29", "bytes=-5"):
        assert (await client.get(image["url"], headers={"Range": span})).status_code == 206
    assert (await client.get(image["url"])).status_code == 200
    assert await counted(client, image, 2) == SIZE + 10 + 20 + 5


async def test_answers_without_the_file_do_not_count_and_neither_do_thumbnails(
    client: httpx.AsyncClient, upload: Upload, database: Database, settings: Settings
) -> None:
    image = await upload(JPEG)
    storage = LocalStorage(settings.data_dir / "images")
    await put_rendition(database, storage, UUID(image["id"]), [150])
    await storage.close()
    url = image["url"]
    etag = (await client.head(url)).headers["etag"]
    assert (await client.get(url, headers={"If-None-Match": etag})).status_code == 304
    assert (await client.get(url, headers={"If-Match": '"another"'})).status_code == 412
    assert (await client.get(url, headers={"Range": f"bytes={SIZE}-"})).status_code == 416
    assert (await client.get(f"{IMAGES}/{image['id']}/thumbnails/150")).status_code == 200
    await client.get(url)
    assert await counted(client, image, 1) == SIZE


async def test_what_nginx_sends_for_the_service_counts(
    open_client: OpenClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    behind = {"front": "nginx", "trusted_proxies": (ip_network(NGINX),)}
    async with open_client(NGINX, **behind) as nginx:
        answer = await nginx.get(
            f"{IMAGES}/{image['id']}/file?download=1",
            headers={"X-Sendfile-Type": "X-Accel-Redirect"},
        )
        assert "x-accel-redirect" in answer.headers
        assert await counted(nginx, image, 1) == SIZE


async def test_of_a_download_that_is_broken_off_what_was_sent_counts() -> None:
    sent: list[tuple[int, int]] = []

    class Reader:
        size = 100

        async def read(self) -> bytes:
            return bytes(10)

        async def close(self) -> None:
            pass

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    response = FileResponse(200, [], Reader(), 100, 7)
    response.count = lambda start, size: sent.append((start, size))
    await response({"type": "http", "method": "GET"}, receive, send)
    assert sent == [(7, 10)]


async def test_an_image_that_there_is_not_has_no_statistics(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    await client.get(image["url"])
    await client.delete(f"{IMAGES}/{image['id']}")
    response = await client.get(f"{IMAGES}/{image['id']}/statistics")
    assert_problem(response, 404, "image-not-found")
