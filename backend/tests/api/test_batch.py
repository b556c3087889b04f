from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from app.api.problems.kinds import NO_FILE_STORED
from app.observability.observer import Observer
from testkit import samples
from testkit.asgi import OpenClient
from testkit.forms import CONTENT_TYPE, form, part
from testkit.problems import assert_problem
from testkit.settings import MAX_UPLOAD_BYTES

BATCH = "/api/v1/images/batch"
JPEG = samples.jpeg()
PNG = samples.png()
StoredFiles = Callable[[], list[Path]]


async def send(client: httpx.AsyncClient, *files: tuple[str, bytes]) -> httpx.Response:
    return await client.post(BATCH, files=[("files", file) for file in files])


async def test_all_stored_is_created(client: httpx.AsyncClient) -> None:
    response = await send(client, ("a.jpg", JPEG), ("b.png", PNG))
    assert response.status_code == 201
    body = response.json()
    assert [image["filename"] for image in body["uploaded"]] == ["a.jpg", "b.png"]
    assert body["failed"] == []
    for image, content in zip(body["uploaded"], (JPEG, PNG), strict=True):
        assert (await client.get(image["url"])).content == content


async def test_each_image_of_a_batch_has_its_checksum_and_is_marked_if_truncated(
    client: httpx.AsyncClient,
) -> None:
    """Each waits for the others, so that it is written in pieces."""
    contents = [JPEG, JPEG[:-1], samples.png(700, 700), samples.png(700, 700)[:-1]]
    response = await send(client, *(("photo", content) for content in contents))
    assert [(image["checksum"], image["truncated"]) for image in response.json()["uploaded"]] == [
        (f"sha256:{sha256(content).hexdigest()}", number % 2 == 1)
        for number, content in enumerate(contents)
    ]


async def test_some_stored_is_multi_status_in_the_order_of_the_request(
    client: httpx.AsyncClient,
) -> None:
    too_large = samples.sized_jpeg(MAX_UPLOAD_BYTES + 1)
    response = await send(
        client,
        ("1.txt", b"text"),
        ("2.jpg", JPEG),
        ("3.jpg", b""),
        ("4.jpg", too_large),
        ("5.png", PNG),
    )
    assert response.status_code == 207
    body = response.json()
    assert [image["filename"] for image in body["uploaded"]] == ["2.jpg", "5.png"]
    assert [(failed["filename"], failed["status"]) for failed in body["failed"]] == [
        ("1.txt", 400),
        ("3.jpg", 400),
        ("4.jpg", 413),
    ]
    assert body["failed"][0]["detail"].startswith("Invalid file type")


async def test_none_stored_is_a_problem_with_the_same_lists(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    response = await send(client, ("a.txt", b"text"), ("b.jpg", b""))
    assert_problem(response, 400, "no-file-stored")
    body = response.json()
    assert body.keys() == NO_FILE_STORED.body(**NO_FILE_STORED.example_members).keys()
    assert body["uploaded"] == body["existing"] == []
    assert [failed["filename"] for failed in body["failed"]] == ["a.txt", "b.jpg"]
    assert stored_files() == []


async def test_the_most_files_allowed_are_stored(client: httpx.AsyncClient) -> None:
    response = await send(client, *[(f"{n}.jpg", JPEG) for n in range(20)])
    assert response.status_code == 201
    assert len(response.json()["uploaded"]) == 20


async def test_one_file_too_many_stores_none(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    response = await send(client, *[(f"{n}.jpg", JPEG) for n in range(21)])
    assert "20" in assert_problem(response, 400, "too-many-files")
    assert stored_files() == []
    assert (await client.get("/api/v1/images")).json()["items"] == []


async def test_a_batch_without_files_says_which_field_is_missing(
    client: httpx.AsyncClient,
) -> None:
    assert_problem(await client.post(BATCH), 422, "invalid-request")
    response = await client.post(BATCH, files={"file": JPEG})
    assert_problem(response, 422, "invalid-request")
    assert response.json()["errors"][0]["field"] == "files"


@pytest.mark.parametrize("missing", [4, 30, 200])
async def test_an_incomplete_batch_stores_none(
    client: httpx.AsyncClient, stored_files: StoredFiles, missing: int
) -> None:
    body = form(part(JPEG, "files"), part(PNG, "files"))[:-missing]
    response = await client.post(BATCH, content=body, headers={"content-type": CONTENT_TYPE})
    assert_problem(response, 400, "malformed-form")
    assert stored_files() == []


async def test_a_failure_of_the_service_is_not_the_files_fault(
    open_client: OpenClient, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    async with open_client(data_dir=tmp_path / "blocked") as client:
        response = await send(client, ("a.jpg", JPEG), ("b.txt", b"text"))
        assert_problem(response, 503, "storage-unavailable")
        assert [failed["status"] for failed in response.json()["failed"]] == [503, 400]


async def test_several_files_of_the_largest_size_fit_into_a_batch(
    client: httpx.AsyncClient,
) -> None:
    large = samples.sized_jpeg(MAX_UPLOAD_BYTES)
    assert (await send(client, ("a.jpg", large), ("b.jpg", large))).status_code == 201


async def test_each_file_that_is_refused_is_observed_as_its_problem(
    open_client: OpenClient,
) -> None:
    noted = Problems()
    async with open_client(observer=noted, uploads_per_hour_per_ip=1) as client:
        files = (("a.txt", b"text"), ("b.jpg", JPEG), ("c.jpg", JPEG), ("d.jpg", JPEG))
        assert (await send(client, *files)).status_code == 207
    assert sorted(noted.slugs) == ["invalid-file-type", "quota-exceeded", "quota-exceeded"]


class Problems(Observer):
    """Remembers the problems."""

    is_silent = False

    def __init__(self) -> None:
        self.slugs: list[str] = []

    def problem(self, slug: str) -> None:
        self.slugs.append(slug)
