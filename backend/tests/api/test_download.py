import logging
import shutil
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from app.config.settings import Settings
from app.database.engine import Database
from app.storage.local.file_reader import READ_BLOCK
from testkit import samples
from testkit.asgi import OpenClient, Upload
from testkit.problems import assert_problem

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(3 * READ_BLOCK + 7)
StoredFiles = Callable[[], list[Path]]
FOR_ANY_SITE = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Accept-Ranges, Content-Disposition, Content-Length, "
    "Content-Range, ETag, Repr-Digest, Retry-After, X-Request-ID",
    "cross-origin-resource-policy": "cross-origin",
}


def digest(content: bytes) -> str:
    """Write a Repr-Digest (RFC 9530)."""
    return f"sha-256=:{b64encode(sha256(content).digest()).decode()}:"


@pytest.mark.parametrize("content", [JPEG, LARGE], ids=["small", "large"])
async def test_the_answer_has_every_header_and_the_bytes(
    client: httpx.AsyncClient, upload: Upload, content: bytes
) -> None:
    image = await upload(content)
    response = await client.get(image["url"])
    assert response.status_code == 200
    assert response.content == content
    headers = dict(response.headers)
    assert headers.pop("x-request-id")
    assert headers.pop("last-modified").endswith(" GMT")
    assert headers == {
        "content-type": "image/jpeg",
        "content-length": str(len(content)),
        "etag": f'"{UUID(image["id"]).hex}"',
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": 'inline; filename="photo.jpg"',
        "accept-ranges": "bytes",
        **FOR_ANY_SITE,
        "repr-digest": digest(content),
    }


@pytest.mark.parametrize("content", [JPEG, LARGE], ids=["small", "large"])
async def test_head_has_the_headers_of_get_and_no_body(
    client: httpx.AsyncClient, upload: Upload, content: bytes
) -> None:
    image = await upload(content)
    get = await client.get(image["url"])
    head = await client.head(image["url"])
    assert head.status_code == 200
    assert head.content == b""
    del get.headers["x-request-id"], head.headers["x-request-id"]
    assert head.headers == get.headers


async def test_a_file_that_is_saved_is_asked_about_each_time_because_its_name_may_change(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    """What is answered without the file has the name too, for what the client has stored."""
    image = await upload(JPEG)
    saved = await client.get(f"{image['url']}?download=1")
    headers = {"if-none-match": saved.headers["etag"]}
    unchanged = await client.get(f"{image['url']}?download=1", headers=headers)
    assert unchanged.status_code == 304
    for answer in (saved, unchanged):
        assert answer.headers["cache-control"] == "public, no-cache"
        assert answer.headers["content-disposition"] == 'attachment; filename="photo.jpg"'


async def test_download_asks_to_save(client: httpx.AsyncClient, upload: Upload) -> None:
    image = await upload(JPEG, "Zürich.jpg")
    response = await client.get(f"{image['url']}?download=1")
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"Z_rich.jpg\"; filename*=UTF-8''Z%C3%BCrich.jpg"
    )


@pytest.mark.parametrize(
    ("sent", "disposition"),
    [
        ("photo.png", 'filename="photo.jpg"'),
        ("page.html", 'filename="page.html.jpg"'),
        ("photo.JPEG", 'filename="photo.JPEG"'),
        ("Zürich.svg", "filename=\"Z_rich.jpg\"; filename*=UTF-8''Z%C3%BCrich.jpg"),
        ("ü" * 255, f"filename=\"{'_' * 251}.jpg\"; filename*=UTF-8''{'%C3%BC' * 251}.jpg"),
    ],
)
async def test_a_downloaded_name_ends_in_the_type_of_its_bytes(
    client: httpx.AsyncClient, upload: Upload, sent: str, disposition: str
) -> None:
    image = await upload(JPEG, sent)
    assert image["filename"] == sent
    for query, kind in (("", "inline"), ("?download=1", "attachment")):
        headers = (await client.get(f"{image['url']}{query}")).headers
        assert headers["content-disposition"] == f"{kind}; {disposition}"


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        (f"bytes={READ_BLOCK - 1}-{2 * READ_BLOCK}", READ_BLOCK - 1, 2 * READ_BLOCK),
        ("bytes=100-", 100, len(LARGE) - 1),
        ("bytes=-5", len(LARGE) - 5, len(LARGE) - 1),
    ],
)
async def test_a_range_is_the_slice_of_the_file(
    client: httpx.AsyncClient, upload: Upload, value: str, start: int, end: int
) -> None:
    image = await upload(LARGE)
    response = await client.get(image["url"], headers={"range": value})
    assert response.status_code == 206
    assert response.content == LARGE[start : end + 1]
    assert response.headers["content-range"] == f"bytes {start}-{end}/{len(LARGE)}"
    assert response.headers["content-length"] == str(end - start + 1)
    assert response.headers["repr-digest"] == digest(LARGE), "of the whole file"


async def test_a_file_whose_checksum_is_not_known_is_sent_without(
    client: httpx.AsyncClient, upload: Upload, database: Database
) -> None:
    image = await upload(JPEG)
    async with database.write() as session:
        await session.execute(text("UPDATE images SET checksum = NULL, truncated = NULL"))
    metadata = (await client.get(f"/api/v1/images/{image['id']}")).json()
    assert (metadata["checksum"], metadata["truncated"]) == (None, None)
    response = await client.get(image["url"])
    assert response.content == JPEG
    assert "repr-digest" not in response.headers


async def test_a_range_outside_the_file_is_answered_with_the_size(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    response = await client.get(image["url"], headers={"range": f"bytes={len(JPEG)}-"})
    assert_problem(response, 416, "range-not-satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(JPEG)}"


async def test_a_known_file_is_not_sent_again_and_not_read(
    client: httpx.AsyncClient, upload: Upload, settings: Settings
) -> None:
    image = await upload(JPEG)
    first = await client.get(image["url"])
    shutil.rmtree(settings.data_dir / "images")
    for condition in (
        {"if-none-match": first.headers["etag"]},
        {"if-none-match": f'W/{first.headers["etag"]}, "other"'},
        {"if-none-match": "*"},
        {"if-modified-since": first.headers["last-modified"]},
    ):
        response = await client.get(image["url"], headers=condition)
        assert response.status_code == 304
        assert response.content == b""
        assert "content-length" not in response.headers
        for name in ("etag", "last-modified", "cache-control"):
            assert response.headers[name] == first.headers[name]


async def test_a_failed_precondition_is_answered_with_412(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    response = await client.get(image["url"], headers={"if-match": '"other"'})
    assert_problem(response, 412, "precondition-failed")


async def test_if_range_of_another_file_gives_the_whole_one(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    headers = {"range": "bytes=0-9", "if-range": '"other"'}
    assert (await client.get(image["url"], headers=headers)).content == JPEG


async def test_a_missing_file_is_an_error_not_a_404(
    client: httpx.AsyncClient,
    upload: Upload,
    stored_files: StoredFiles,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "app")
    image = await upload(JPEG)
    [path] = stored_files()
    path.unlink()
    for _ in range(3):
        assert_problem(await client.get(image["url"]), 500, "image-damaged")
        assert_problem(await client.get(f"{image['url']}?download=1"), 500, "image-damaged")
    assert (await client.head(image["url"])).status_code == 500
    reports = [one for one in caplog.records if one.name == "app.api.problems.handlers"]
    key, folder = image["storage_key"], path.parents[1]
    assert [record.getMessage() for record in reports] == [
        f"image-damaged: image {image['id']}: its file {key} in {folder} is missing"
    ] * 7
    assert [one.levelname for one in reports] == ["ERROR", *["INFO"] * 6]
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("change", [-1, 1])
async def test_a_file_of_another_length_is_never_sent(
    client: httpx.AsyncClient,
    upload: Upload,
    stored_files: StoredFiles,
    change: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = await upload(JPEG)
    stored_files()[0].write_bytes((JPEG + b"x")[: len(JPEG) + change])
    assert_problem(await client.get(image["url"]), 500, "image-damaged")
    assert f"has {len(JPEG) + change} bytes, not {len(JPEG)}" in caplog.text


@pytest.mark.parametrize(
    "image_id", ["00000000-0000-0000-0000-000000000000", "nonsense", "..%2f..%2fetc%2fpasswd", "1"]
)
async def test_an_invalid_id_is_not_found(client: httpx.AsyncClient, image_id: str) -> None:
    assert (await client.get(f"/api/v1/images/{image_id}/file")).status_code == 404


async def test_an_invalid_parameter_is_rejected(client: httpx.AsyncClient, upload: Upload) -> None:
    image = await upload(JPEG)
    response = await client.get(f"{image['url']}?download=perhaps")
    assert_problem(response, 422, "invalid-request")


QUESTIONS: list[tuple[str, dict[str, str]]] = [
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"range": "bytes=0-0"}),
    ("GET", {"range": f"bytes={READ_BLOCK - 1}-{READ_BLOCK}"}),
    ("GET", {"range": "bytes=-5"}),
    ("GET", {"range": f"bytes={3 * READ_BLOCK}-"}),
    ("HEAD", {"range": "bytes=0-9"}),
    ("GET", {"if-none-match": "*"}),
    ("GET", {"if-match": '"other"'}),
]


@pytest.mark.parametrize(("method", "headers"), QUESTIONS)
@pytest.mark.parametrize("size", [5000, 2 * READ_BLOCK + 1000])
async def test_a_download_is_the_same_cold_hot_and_with_a_query(
    open_client: OpenClient, method: str, headers: dict[str, str], size: int
) -> None:
    """Looked up and read in a thread, remembered and read in place, and FastAPI's ordinary way."""

    async def ask(client: httpx.AsyncClient, url: str) -> tuple[int, dict[str, str], bytes]:
        response = await client.request(method, url, headers=headers)
        del response.headers["x-request-id"]
        return response.status_code, dict(response.headers), response.content

    async with open_client() as client:
        files = {"file": ("photo.jpg", samples.sized_jpeg(size))}
        url = (await client.post("/api/v1/images/upload", files=files)).json()["url"]
        cold = await ask(client, url)
        assert (await client.get(url)).status_code == 200
        assert await ask(client, url) == cold
        assert await ask(client, f"{url}?download=0") == cold


async def test_a_hot_file_that_is_damaged_is_never_sent_with_a_wrong_length(
    client: httpx.AsyncClient, upload: Upload, stored_files: StoredFiles
) -> None:
    image = await upload(JPEG)
    [file] = stored_files()
    for damage in (JPEG[:-1], JPEG + b"x", b""):
        file.write_bytes(JPEG)
        for _ in range(2):
            assert (await client.get(image["url"])).content == JPEG
        replacement = file.with_suffix(".other")
        replacement.write_bytes(damage)
        replacement.rename(file)
        assert_problem(await client.get(image["url"]), 500, "image-damaged")
    file.unlink()
    assert_problem(await client.get(image["url"]), 500, "image-damaged")
