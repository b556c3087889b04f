"""Uploads that lose what cameras and programs wrote into the file (ADR 44)."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.imaging.stripping.strippers import STRIPPERS
from testkit import samples
from testkit.asgi import OpenClient
from testkit.format_samples import all_samples, named
from testkit.format_samples.private import SECRET
from testkit.forms import CONTENT_TYPE, form, part
from testkit.problems import assert_problem
from testkit.settings import MAX_UPLOAD_BYTES
from testkit.stripping import strip

UPLOAD = "/api/v1/images/upload"
BATCH = "/api/v1/images/batch"
STRIP = part(b"true", "strip_metadata", None)
KEEP = part(b"false", "strip_metadata", None)
JPEG, PNG, HEIC = (named(f"{kind} metadata") for kind in ("jpeg", "png", "heic"))
STRIPPABLE = [
    name
    for name, sample in all_samples().items()
    if sample.image_type in STRIPPERS
    and sample.trait in {"metadata", "orientation", "animation", "truncated", "appended data"}
]
StoredFiles = Callable[[], list[Path]]


async def send(client: httpx.AsyncClient, *parts: bytes, url: str = UPLOAD) -> httpx.Response:
    return await client.post(url, content=form(*parts), headers={"content-type": CONTENT_TYPE})


async def file_of(client: httpx.AsyncClient, image: dict[str, Any]) -> bytes:
    return (await client.get(image["url"])).content


async def assert_nothing_is_stored(client: httpx.AsyncClient, stored_files: StoredFiles) -> None:
    assert stored_files() == []
    assert (await client.get("/api/v1/images")).json()["items"] == []


@pytest.mark.parametrize("name", STRIPPABLE)
async def test_the_stripped_file_is_what_is_stored_described_and_served(
    client: httpx.AsyncClient, name: str
) -> None:
    sample = named(name)
    plain = (await send(client, part(sample.content))).json()
    response = await send(client, STRIP, part(sample.content))
    assert response.status_code == 201
    image = response.json()
    content = await file_of(client, image)
    assert content == strip(sample.content)
    assert SECRET not in content
    assert image["checksum"] == f"sha256:{sha256(content).hexdigest()}"
    assert image["file_size"] == len(content)
    for fact in ("content_type", "width", "height", "truncated"):
        assert image[fact] == plain[fact], fact


async def test_without_the_field_the_setting_decides(open_client: OpenClient) -> None:
    for setting in (False, True):
        async with open_client(strip_metadata=setting) as client:
            expected = strip(JPEG.content) if setting else JPEG.content
            assert (
                await file_of(client, (await send(client, part(JPEG.content))).json()) == expected
            )
            batch = (await send(client, part(JPEG.content, "files"), url=BATCH)).json()
            assert await file_of(client, batch["uploaded"][0]) == expected


@pytest.mark.parametrize("setting", [False, True])
async def test_the_field_wins_over_the_setting(open_client: OpenClient, setting: bool) -> None:
    async with open_client(strip_metadata=setting) as client:
        for field, expected in ((STRIP, strip(JPEG.content)), (KEEP, JPEG.content)):
            image = (await send(client, field, part(JPEG.content))).json()
            assert await file_of(client, image) == expected


@pytest.mark.parametrize("setting", [False, True])
@pytest.mark.parametrize("name", ["avif metadata", "heic metadata"])
async def test_a_type_that_cannot_be_stripped_is_refused_with_what_to_do(
    open_client: OpenClient, stored_files: StoredFiles, setting: bool, name: str
) -> None:
    content = named(name).content
    async with open_client(strip_metadata=setting) as client:
        fields = [] if setting else [STRIP]
        response = await send(client, *fields, part(content))
        detail = assert_problem(response, 422, "metadata-not-removable")
        assert "convert the image to JPEG" in detail
        assert "strip_metadata=false" in detail
        await assert_nothing_is_stored(client, stored_files)
        assert (await send(client, KEEP, part(content))).status_code == 201


LONG = samples.png(700, 700)
BROKEN = {
    "from its first bytes on": samples.jpeg()[:2] + b"\xff\xe1\0\0" + samples.jpeg()[2:],
    "far behind its beginning": LONG[:-12] + b"\xff\xff\xff\xff !!" + LONG[-12:],
    "so that no pixels are there": samples.jpeg()[:100],
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_file_that_cannot_be_followed_is_refused_and_nothing_of_it_is_stored(
    client: httpx.AsyncClient, stored_files: StoredFiles, name: str
) -> None:
    response = await send(client, STRIP, part(BROKEN[name]))
    assert "damaged or unusual" in assert_problem(response, 422, "metadata-not-removable")
    await assert_nothing_is_stored(client, stored_files)


async def test_in_a_batch_the_others_are_stored_stripped(client: httpx.AsyncClient) -> None:
    parts = [
        part(content, "files", name)
        for name, content in {
            "1.heic": HEIC.content,
            "2.jpg": JPEG.content,
            "3.txt": b"text",
            "4.png": BROKEN["far behind its beginning"],
            "5.png": PNG.content,
        }.items()
    ]
    response = await send(client, STRIP, *parts, url=BATCH)
    assert response.status_code == 207
    uploaded, failed = response.json()["uploaded"], response.json()["failed"]
    assert [await file_of(client, image) for image in uploaded] == [
        strip(JPEG.content),
        strip(PNG.content),
    ]
    assert [(file["filename"], file["status"]) for file in failed] == [
        ("1.heic", 422),
        ("3.txt", 400),
        ("4.png", 422),
    ]
    assert "AVIF and HEIC" in failed[0]["detail"]


async def test_the_limit_is_of_what_arrives(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    largest = JPEG.content + bytes(MAX_UPLOAD_BYTES - len(JPEG.content))
    assert_problem(await send(client, STRIP, part(largest + b"\0")), 413, "file-too-large")
    await assert_nothing_is_stored(client, stored_files)
    image = (await send(client, STRIP, part(largest))).json()
    assert image["file_size"] == len(strip(JPEG.content))


REFUSED = {
    "behind the file": ([part(JPEG.content), STRIP], "before the file"),
    "between files": ([part(JPEG.content), STRIP, part(PNG.content)], "before the file"),
    "twice": ([STRIP, STRIP, part(JPEG.content)], "only once"),
    "neither true nor false": (
        [part(b"maybe", "strip_metadata", None), part(JPEG.content)],
        "true or false",
    ),
    "huge": (
        [part(b"t" * 30_000, "strip_metadata", None), part(JPEG.content)],
        "true or false",
    ),
    "as a file": ([part(b"true", "strip_metadata"), part(JPEG.content)], "without a file name"),
}


@pytest.mark.parametrize("url", [UPLOAD, BATCH])
@pytest.mark.parametrize("case", REFUSED)
async def test_a_field_that_is_wrong_or_comes_too_late_refuses_the_whole_form(
    client: httpx.AsyncClient, stored_files: StoredFiles, case: str, url: str
) -> None:
    parts, sentence = REFUSED[case]
    if url == BATCH:
        parts = [one.replace(b'name="file"', b'name="files"') for one in parts]
    response = await send(client, *parts, url=url)
    assert sentence in assert_problem(response, 422, "invalid-request")
    [error] = response.json()["errors"]
    assert (error["in"], error["field"]) == ("body", "strip_metadata")
    await assert_nothing_is_stored(client, stored_files)


@pytest.mark.parametrize("url", [UPLOAD, BATCH])
async def test_an_address_that_asks_for_it_is_refused_not_ignored(
    client: httpx.AsyncClient, stored_files: StoredFiles, url: str
) -> None:
    field = "file" if url == UPLOAD else "files"
    asking = f"{url}?strip_metadata=true"
    response = await send(client, part(JPEG.content, field), url=asking)
    assert "as a field of the form" in assert_problem(response, 422, "invalid-request")
    await assert_nothing_is_stored(client, stored_files)
