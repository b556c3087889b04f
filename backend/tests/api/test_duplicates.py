"""Uploads of bytes that are there already: stored once more, or the image that has them."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.config.settings import Settings
from app.database.engine import Database
from app.domain.actor import Access
from app.domain.image import ExistingImage
from app.models import USERS
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.asgi import Upload, image_of
from testkit.exif import photograph
from testkit.live import StoredFiles
from testkit.problems import assert_problem
from testkit.uploads import LIMITS, file

IMAGES = "/api/v1/images"
JPEG, PNG = samples.jpeg(), samples.png()
RETURN = {"on_duplicate": "return"}


async def send(
    client: httpx.AsyncClient, options: dict[str, str], content: bytes = JPEG
) -> httpx.Response:
    files = {"file": ("again.jpg", content)}
    return await client.post(f"{IMAGES}/upload", data=options, files=files)


async def send_batch(client: httpx.AsyncClient, *contents: bytes) -> httpx.Response:
    files = [("files", (f"{number}", content)) for number, content in enumerate(contents)]
    return await client.post(f"{IMAGES}/batch", data=RETURN, files=files)


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


async def test_the_image_that_has_the_bytes_is_returned_if_that_is_asked_for(
    client: httpx.AsyncClient, stored_files: StoredFiles
) -> None:
    first = await send(client, RETURN)
    assert first.status_code == 201
    before = stored_files()
    again = await send(client, RETURN)
    assert again.status_code == 200
    assert again.json() == image_of(first)
    assert again.headers["location"] == first.headers["location"]
    assert stored_files() == before
    assert (await client.get(f"{IMAGES}/count")).json()["count"] == 1


@pytest.mark.parametrize("options", [{}, {"on_duplicate": "store"}], ids=str)
async def test_equal_bytes_are_images_of_their_own_if_it_is_not(
    client: httpx.AsyncClient, options: dict[str, str]
) -> None:
    answers = [await send(client, options) for _ in "12"]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 2


async def test_the_newest_is_returned_and_one_that_was_deleted_is_not(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    first, second = [await upload(JPEG) for _ in "12"]
    for expected in (second, first):
        assert (await send(client, RETURN)).json()["id"] == expected["id"]
        await client.delete(f"{IMAGES}/{expected['id']}")
    assert (await send(client, RETURN)).status_code == 201


async def test_the_bytes_that_would_be_stored_are_compared(client: httpx.AsyncClient) -> None:
    with_exif = samples.jpeg_with(samples.segment(0xE1, photograph("Fuji")))
    whole = await send(client, {}, with_exif)
    stripped = await send(client, RETURN | {"strip_metadata": "true"}, with_exif)
    assert stripped.status_code == 201
    assert stripped.json()["checksum"] != whole.json()["checksum"]
    again = await send(client, RETURN | {"strip_metadata": "true"}, with_exif)
    assert (again.status_code, again.json()["id"]) == (200, stripped.json()["id"])


async def test_a_private_upload_is_never_answered_with_a_public_image_nor_the_reverse(
    client: httpx.AsyncClient,
) -> None:
    public = await send(client, RETURN | {"is_public": "true"})
    private = await send(client, RETURN | {"is_public": "false"})
    assert (public.status_code, private.status_code) == (201, 201)
    for is_public, first in (("true", public), ("false", private)):
        again = await send(client, RETURN | {"is_public": is_public})
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize("content", [None, b"shorter"], ids=["missing", "truncated"])
async def test_an_image_whose_file_is_damaged_is_not_returned(
    client: httpx.AsyncClient, upload: Upload, settings: Settings, content: bytes | None
) -> None:
    key = (await upload(JPEG))["storage_key"]
    path = settings.data_dir / "images" / key[:2] / key
    path.unlink()
    if content:
        path.write_bytes(content)
    assert (await send(client, RETURN)).status_code == 201


async def test_a_batch_has_what_was_there_under_existing(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    known = await upload(JPEG)
    some = await send_batch(client, PNG, JPEG, PNG)
    assert some.status_code == 201
    (stored,) = some.json()["uploaded"]
    assert ids(some.json()["existing"]) == [known["id"], stored["id"]]
    none = await send_batch(client, JPEG, PNG)
    assert none.status_code == 200
    assert none.json()["uploaded"] == []
    assert ids(none.json()["existing"]) == [known["id"], stored["id"]]
    failed = await send_batch(client, JPEG, b"text")
    assert failed.status_code == 207
    assert ids(failed.json()["existing"]) == [known["id"]]
    assert len(failed.json()["failed"]) == 1


@pytest.mark.parametrize("value", ["", "replace", "RETURN"])
async def test_another_value_is_refused(client: httpx.AsyncClient, value: str) -> None:
    response = await send(client, {"on_duplicate": value})
    assert "store or return" in assert_problem(response, 422, "invalid-request")


async def test_only_images_of_the_same_owner_are_returned(database: Database) -> None:
    one, other = uuid4(), uuid4()
    async with database.write() as session:
        for user in (one, other):
            await session.execute(USERS.insert().values(id=user, email=user.hex))
    uploads = Services(database, MemoryStorage(), LIMITS).uploads
    asked = file(JPEG)
    asked = asked._replace(options=asked.options._replace(on_duplicate="return"))

    async def upload(owner: object) -> Any:
        fresh = file(JPEG)
        return await uploads.upload(asked._replace(chunks=fresh.chunks), None, owner)  # type: ignore[arg-type]

    first = {owner: await upload(owner) for owner in (one, other, None)}
    assert not any(isinstance(image, ExistingImage) for image in first.values())
    for owner, image in first.items():
        again = await upload(owner)
        assert isinstance(again, ExistingImage)
        assert again == image


async def test_where_strangers_upload_images_that_nobody_owns_are_not_returned(
    database: Database,
) -> None:
    """Nobody may see more of the images of others than those that they have a link to."""
    uploads = Services(database, MemoryStorage(), LIMITS, access=Access.UPLOAD).uploads
    for _ in "12":
        asked = file(JPEG)
        asked = asked._replace(options=asked.options._replace(on_duplicate="return"))
        assert not isinstance(await uploads.upload(asked, None), ExistingImage)
