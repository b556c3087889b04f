"""Thumbnails over HTTP: named in answers at once, found and sent as files are, made on demand."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.config.settings import Settings
from app.database.engine import Database
from app.services import thumbnails as thumbnails_module
from testkit import samples
from testkit.asgi import OpenClient, Upload
from testkit.problems import assert_problem
from testkit.renditions import SIZES, put_rendition
from testkit.storages import OpenStorage
from testkit.uploads import execute

IMAGES = "/api/v1/images"
JPEG = samples.jpeg()
LARGE = samples.jpeg(1200, 900)
StoredFiles = Callable[[], list[Path]]
Render = Callable[[dict[str, Any]], Awaitable[dict[int, bytes]]]


@pytest.fixture
def render(settings: Settings, database: Database, open_storage: OpenStorage) -> Render:
    """Put thumbnails in place, as a worker would."""
    storage = open_storage(settings.data_dir / "images")
    return lambda image: put_rendition(database, storage, UUID(image["id"]))


def urls(image: dict[str, Any]) -> dict[str, str]:
    return {size: thumbnail["url"] for size, thumbnail in image["thumbnails"].items()}


async def test_every_answer_names_the_thumbnails_of_an_image(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(LARGE)
    base = f"http://images.localhost{IMAGES}/{image['id']}/thumbnails"
    assert image["thumbnails"] == {
        "150": {"url": f"{base}/150", "width": 150, "height": 112},
        "300": {"url": f"{base}/300", "width": 300, "height": 225},
        "800": {"url": f"{base}/800", "width": 800, "height": 600},
    }
    assert image["placeholder"] is None
    assert (await client.get(f"{IMAGES}/{image['id']}")).json() == image | {"metadata": None}
    assert (await client.get(IMAGES)).json()["items"] == [image]
    answer = await client.post(f"{IMAGES}/batch", files=[("files", LARGE)])
    [other] = answer.json()["uploaded"]
    assert urls(other) == {
        size: url.replace(image["id"], other["id"]) for size, url in urls(image).items()
    }


@pytest.mark.parametrize(
    ("content", "shown"),
    [(JPEG, (64, 48)), (samples.jpeg_header(1200, 900, bits=12), (None, None))],
    ids=["small", "of unknown size"],
)
async def test_thumbnails_are_never_enlarged_and_of_unknown_size_where_the_image_is(
    upload: Upload, content: bytes, shown: tuple[int | None, int | None]
) -> None:
    image = await upload(content)
    assert [(item["width"], item["height"]) for item in image["thumbnails"].values()] == [shown] * 3


async def test_a_rendered_image_has_its_placeholder(
    client: httpx.AsyncClient, upload: Upload, render: Render
) -> None:
    image = await upload(JPEG)
    await render(image)
    shown = (await client.get(f"{IMAGES}/{image['id']}")).json()
    placeholder = b64encode(b"placeholder").decode()
    assert shown == image | {"placeholder": placeholder, "metadata": {}}


async def test_a_service_without_thumbnails_names_none_and_has_none(
    open_client: OpenClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    async with open_client(thumbnail_sizes=()) as client:
        assert (await client.get(f"{IMAGES}/{image['id']}")).json()["thumbnails"] == {}
        detail = assert_problem(await client.get(urls(image)["300"]), 404, "unknown-thumbnail-size")
        assert detail == "This service makes no thumbnails."
        assert (await client.get("/api/v1/limits")).json()["thumbnail_sizes"] == []


async def test_an_image_that_cannot_be_rendered_has_none_and_its_thumbnail_says_why(
    client: httpx.AsyncClient, upload: Upload, database: Database
) -> None:
    image = await upload(JPEG)
    await execute(database, "UPDATE images SET render_error = 'The image is broken.'")
    assert (await client.get(f"{IMAGES}/{image['id']}")).json()["thumbnails"] == {}
    response = await client.get(urls(image)["300"])
    assert assert_problem(response, 422, "image-not-renderable") == "The image is broken."
    await execute(database, "UPDATE images SET thumbnail_sizes = '{150,64}'")  # of other settings
    thumbnails = (await client.get(f"{IMAGES}/{image['id']}")).json()["thumbnails"]
    assert thumbnails.keys() == {"150"}, "it has been rendered before"


@pytest.mark.parametrize("size", ["0", "1", "151", "0150", "-150", "150.0", "all", "9" * 5000])
@pytest.mark.parametrize("query", ["", "?download=1"])
async def test_another_size_is_not_found_and_the_answer_names_those_that_there_are(
    client: httpx.AsyncClient, upload: Upload, size: str, query: str
) -> None:
    image = await upload(JPEG)
    response = await client.get(f"{IMAGES}/{image['id']}/thumbnails/{size}{query}")
    detail = assert_problem(response, 404, "unknown-thumbnail-size")
    assert detail == "There are thumbnails of the sizes 150, 300, 800 only."


@pytest.mark.parametrize("image_id", [UUID(int=0), "nonsense"])
async def test_a_thumbnail_of_no_image_is_not_found(
    client: httpx.AsyncClient, image_id: object
) -> None:
    assert (await client.get(f"{IMAGES}/{image_id}/thumbnails/300")).status_code == 404


async def test_the_answer_has_every_header_of_a_file_and_the_bytes(
    client: httpx.AsyncClient, upload: Upload, render: Render, database: Database
) -> None:
    image = await upload(JPEG, "photo.jpg")
    thumbnails = await render(image)
    original = await client.get(image["url"])
    response = await client.get(urls(image)["300"])
    assert response.status_code == 200
    assert response.content == thumbnails[300]
    async with database.read() as session:
        since_epoch = text("SELECT extract(epoch FROM rendered_at) * 1000000 FROM images")
        rendered_at = int(await session.scalar(since_epoch) or 0)
    headers = dict(response.headers)
    expected = dict(original.headers)
    del headers["x-request-id"], expected["x-request-id"], expected["repr-digest"]
    assert headers.pop("last-modified").endswith(" GMT")
    del expected["last-modified"]
    assert headers == expected | {
        "content-type": "image/webp",
        "content-length": str(len(thumbnails[300])),
        "etag": f'"{UUID(image["id"]).hex}-300-{rendered_at:x}"',
        "content-disposition": 'inline; filename="photo.webp"',
    }
    saved = await client.get(f"{urls(image)['300']}?download=1")
    assert saved.headers["content-disposition"] == 'attachment; filename="photo.webp"'


QUESTIONS: list[tuple[str, dict[str, str], int]] = [
    ("GET", {}, 200),
    ("HEAD", {}, 200),
    ("GET", {"range": "bytes=10-19"}, 206),
    ("GET", {"range": "bytes=-5"}, 206),
    ("GET", {"range": "bytes=9999999-"}, 416),
    ("HEAD", {"range": "bytes=0-9"}, 200),
    ("GET", {"if-none-match": "*"}, 304),
    ("GET", {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}, 304),
    ("GET", {"if-match": '"other"'}, 412),
]


@pytest.mark.parametrize(("method", "headers", "status"), QUESTIONS)
async def test_a_thumbnail_is_the_same_cold_hot_and_with_a_query(  # noqa: PLR0913, PLR0917
    client: httpx.AsyncClient,
    upload: Upload,
    render: Render,
    method: str,
    headers: dict[str, str],
    status: int,
) -> None:
    async def ask(url: str) -> tuple[int, dict[str, str], bytes]:
        response = await client.request(method, url, headers=headers)
        del response.headers["x-request-id"]
        return response.status_code, dict(response.headers), response.content

    image = await upload(JPEG)
    content = (await render(image))[300]
    url = urls(image)["300"]
    cold = await ask(url)
    assert cold[0] == status
    assert (await client.get(url)).content == content
    assert await ask(url) == cold
    assert await ask(f"{url}?download=0") == cold
    if status == 206:
        start, end = (10, 20) if "10" in headers["range"] else (len(content) - 5, len(content))
        assert cold[2] == content[start:end]


async def test_thumbnails_can_be_shown_and_read_by_pages_of_any_site(
    open_client: OpenClient, upload: Upload, render: Render
) -> None:
    """As files can, without a key and under any name; so can the errors at their URLs."""
    image = await upload(JPEG)
    await render(image)
    path = httpx.URL(urls(image)["300"]).path
    page = {"origin": "https://other.example", "sec-fetch-site": "cross-site"}
    for changes in ({}, {"api_key": SecretStr("correct-horse")}):
        async with open_client(**changes) as client:
            for name in (path, f"{path}?download=1", f"{path[:-3]}7", f"{path}?download=perhaps"):
                response = await client.get(name, headers=page | {"host": "name.example"})
                assert response.status_code in {200, 404, 422}
                assert response.headers["access-control-allow-origin"] == "*"
                assert response.headers["cross-origin-resource-policy"] == "cross-origin"
            asked = page | {"access-control-request-method": "GET"}
            assert (await client.options(path, headers=asked)).status_code == 204


async def test_a_thumbnail_that_is_late_is_an_error_that_no_cache_keeps(
    client: httpx.AsyncClient, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails_module, "WAIT_SECONDS", 0.2)
    image = await upload(JPEG)
    for query in ("", "?download=1"):
        response = await client.get(urls(image)["300"] + query)
        assert_problem(response, 503, "thumbnail-not-ready")
    assert (await client.head(urls(image)["300"])).status_code == 503


async def test_a_thumbnail_is_sent_as_soon_as_it_is_rendered(
    client: httpx.AsyncClient, upload: Upload, render: Render
) -> None:
    image = await upload(JPEG)
    asked = [asyncio.create_task(client.get(url)) for url in urls(image).values()]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in asked)
    thumbnails = await render(image)
    answers = await asyncio.gather(*asked)
    assert [answer.content for answer in answers] == [thumbnails[size] for size in SIZES]


async def test_a_lost_thumbnail_in_demand_is_waited_for(
    client: httpx.AsyncClient, upload: Upload, render: Render, stored_files: StoredFiles
) -> None:
    image = await upload(JPEG)
    await render(image)
    url = urls(image)["300"]
    for _ in range(2):
        assert (await client.get(url)).status_code == 200
    for file in stored_files():
        if "-300-" in file.name:
            file.unlink()
    asked = asyncio.create_task(client.get(url))
    while len(stored_files()) > 1:  # noqa: ASYNC110 - the others are removed, for no row names them
        await asyncio.sleep(0.01)
    assert not asked.done()
    thumbnails = await render(image)
    assert (await asked).content == thumbnails[300]


async def test_a_thumbnail_in_demand_that_was_rendered_anew_is_the_new_one(
    client: httpx.AsyncClient, upload: Upload, render: Render, stored_files: StoredFiles
) -> None:
    image = await upload(JPEG)
    await render(image)
    url = urls(image)["300"]
    first = await client.get(url)
    stale = [file for file in stored_files() if "-" in file.name]
    thumbnails = await render(image)
    for file in stale:
        file.unlink()
    second = await client.get(url, headers={"if-match": first.headers["etag"], "range": "bytes=0-"})
    assert_problem(second, 412, "precondition-failed")
    assert (await client.get(url)).content == thumbnails[300]
