"""An upload that is sent again with its Idempotency-Key is stored once, and answered as before."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL
from starlette.requests import ClientDisconnect

from testkit import samples
from testkit.asgi import OpenClient
from testkit.databases import execute
from testkit.forms import CONTENT_TYPE, form, part
from testkit.live import StoredFiles
from testkit.problems import assert_problem
from testkit.sockets import BATCH, UPLOAD

JPEG = samples.jpeg()
PNG = samples.png()


async def send(
    client: httpx.AsyncClient, key: str, content: bytes = JPEG, name: str = "photo.jpg", **data: str
) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await client.post(UPLOAD, files={"file": (name, content)}, data=data, headers=headers)


async def send_batch(client: httpx.AsyncClient, key: str, *contents: bytes) -> httpx.Response:
    files = [("files", (f"{n}.jpg", content)) for n, content in enumerate(contents)]
    return await client.post(BATCH, files=files, headers={"Idempotency-Key": key})


async def stored(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/api/v1/images")).json()["items"]
    return items


@pytest.fixture
def key() -> str:
    return str(uuid4())


async def test_a_repeated_upload_is_answered_as_the_first_and_stored_once(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles
) -> None:
    first = await send(client, key)
    assert first.status_code == 201
    for again in [await send(client, key), await send(client, key)]:
        assert again.status_code == 201
        assert again.content == first.content
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert [image["id"] for image in await stored(client)] == [first.json()["id"]]
    assert len(stored_files()) == 1


async def test_a_repeated_batch_is_answered_as_the_first_and_stored_once(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles
) -> None:
    first = await send_batch(client, key, JPEG, b"no image" * 20_000, PNG)
    assert first.status_code == 207
    again = await send_batch(client, key, JPEG, b"no image" * 20_000, PNG)
    assert (again.status_code, again.content) == (207, first.content)
    assert len(await stored(client)) == len(stored_files()) == 2


async def test_without_a_key_and_with_another_one_each_upload_is_stored(
    client: httpx.AsyncClient,
) -> None:
    for key in ("first", "second"):
        assert (await send(client, key)).status_code == 201
    for _ in range(2):
        answer = await client.post(UPLOAD, files={"file": ("photo.jpg", JPEG)})
        assert answer.status_code == 201
    assert len(await stored(client)) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"content": PNG},
        {"content": JPEG + b"\0"},
        {"name": "other.jpg"},
        {"strip_metadata": "true"},
        {"is_public": "false"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_a_key_that_is_sent_with_another_upload_is_refused(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles, other: dict[str, Any]
) -> None:
    first = await send(client, key)
    assert_problem(await send(client, key, **other), 422, "idempotency-key-reused")
    assert (await send(client, key)).content == first.content
    assert len(stored_files()) == 1


async def test_a_key_of_an_upload_is_refused_for_a_batch_and_for_more_files(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles
) -> None:
    await send(client, key, name="0.jpg")
    assert_problem(await send_batch(client, key, JPEG), 422, "idempotency-key-reused")
    assert (await send_batch(client, "other", JPEG, PNG)).status_code == 201
    for contents in [(JPEG,), (PNG, JPEG), (JPEG, PNG, PNG)]:
        again = await send_batch(client, "other", *contents)
        assert_problem(again, 422, "idempotency-key-reused")
    assert len(stored_files()) == 3


async def test_an_option_that_is_spelt_out_as_its_default_is_the_same_upload(
    client: httpx.AsyncClient, key: str
) -> None:
    first = await send(client, key)
    assert (await send(client, key, is_public="true")).content == first.content


class Slow:
    """The body of an upload whose end is yet to come, or never comes."""

    def __init__(self, content: bytes = JPEG) -> None:
        self._body = form(part(content))
        self.has_begun = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.breaks_off = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[:-20]
        self.has_begun.set()
        await self.goes_on.wait()
        if self.breaks_off:
            raise ClientDisconnect
        yield self._body[-20:]

    def sent_to(self, client: httpx.AsyncClient, key: str) -> "asyncio.Task[httpx.Response]":
        headers = {"Idempotency-Key": key, "Content-Type": CONTENT_TYPE}
        return asyncio.create_task(client.post(UPLOAD, content=self, headers=headers))


async def test_while_the_first_is_under_way_the_second_is_refused_and_then_answered_as_it(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles
) -> None:
    slow = Slow()
    sending = slow.sent_to(client, key)
    await slow.has_begun.wait()
    refused = await send(client, key)
    assert_problem(refused, 409, "upload-under-way")
    assert (await send(client, "another")).status_code == 201
    slow.goes_on.set()
    first = await sending
    assert first.status_code == 201
    assert (await send(client, key)).content == first.content
    assert len(stored_files()) == 2


async def test_two_processes_that_get_one_request_at_once_store_it_once(
    open_client: OpenClient, key: str, stored_files: StoredFiles
) -> None:
    async with open_client() as one, open_client() as other:
        answers = await asyncio.gather(*(send(client, key) for client in [one, other] * 8))
        final = await send(other, key)
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert {answer.content for answer in answers if answer.is_success} == {final.content}
        assert len(await stored(one)) == len(stored_files()) == 1


async def test_a_client_that_leaves_half_way_may_send_it_again_at_once(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles
) -> None:
    slow = Slow()
    slow.breaks_off = True
    sending = slow.sent_to(client, key)
    slow.goes_on.set()
    with pytest.raises(AssertionError):  # of the transport, which is used to answers
        await sending
    assert (await send(client, key)).status_code == 201
    assert len(stored_files()) == 1


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, "schlüssel".encode()], ids=repr)
async def test_a_key_that_is_none_is_refused(
    client: httpx.AsyncClient, key: Any, stored_files: StoredFiles
) -> None:
    for answer in (await send(client, key), await send_batch(client, key, JPEG)):
        assert_problem(answer, 422, "invalid-request")
        (error,) = answer.json()["errors"]
        assert (error["in"], error["field"]) == ("header", "Idempotency-Key")
    assert stored_files() == []


async def test_what_stores_nothing_leaves_the_key_to_another_request(
    client: httpx.AsyncClient, database_url: URL, key: str
) -> None:
    assert_problem(await send(client, key, b"text"), 400, "invalid-file-type")
    assert_problem(await send_batch(client, key, b"text"), 400, "no-file-stored")
    assert_problem(
        await client.post(UPLOAD, headers={"Idempotency-Key": key}), 422, "invalid-request"
    )
    assert await keys_of(database_url) == []
    assert (await send(client, key)).status_code == 201


async def keys_of(database_url: URL) -> list[tuple[Any, ...]]:
    return await execute(database_url, "SELECT sender, key FROM idempotency_keys ORDER BY sender")


async def test_the_same_key_of_another_sender_is_another_key(
    open_client: OpenClient, database_url: URL
) -> None:
    secret = {"Authorization": "Bearer administrator"}
    ids = set()
    for address in ("192.0.2.1", "2001:db8::1", "2001:db8::2"):
        async with open_client(address) as client:
            ids.add((await send(client, "1")).json()["id"])
    async with open_client(api_key=SecretStr("administrator")) as client:
        client.headers.update(secret)
        ids.add((await send(client, "1")).json()["id"])
    assert len(ids) == 3
    assert [sender for sender, _ in await keys_of(database_url)] == [
        "address 192.0.2.1",
        "address 2001:db8::",
        "administrator",
    ]


async def test_a_used_up_quota_does_not_refuse_what_is_already_stored(
    open_client: OpenClient, key: str
) -> None:
    async with open_client(uploads_per_hour_per_ip=2) as client:
        first = await send_batch(client, key, JPEG, PNG, JPEG)
        assert [file["status"] for file in first.json()["failed"]] == [429]
        assert_problem(await send(client, "another"), 429, "quota-exceeded")
        assert len(await stored(client)) == 2
    async with open_client(uploads_per_hour_per_ip=3) as client:
        second = await send_batch(client, key, JPEG, PNG, JPEG)
        assert second.status_code == 201
        before, after = first.json()["uploaded"], second.json()["uploaded"]
        assert [image["id"] for image in before] == [image["id"] for image in after[:2]]
        assert (await send_batch(client, key, JPEG, PNG, JPEG)).content == second.content
        assert len(await stored(client)) == 3


async def test_an_image_that_was_deleted_is_not_stored_again(
    client: httpx.AsyncClient, key: str, stored_files: StoredFiles, database_url: URL
) -> None:
    first = await send(client, key)
    assert (await client.delete(first.headers["Location"])).status_code == 204
    assert (await send(client, key)).content == first.content
    await execute(database_url, "UPDATE idempotency_keys SET status = NULL")
    await execute(database_url, "UPDATE idempotency_keys SET claimed_until = now()")
    assert_problem(await send(client, key), 404, "image-not-found")
    assert stored_files() == []


async def test_a_batch_that_used_up_the_quota_may_be_sent_again_for_its_lost_answer(
    open_client: OpenClient, key: str, database_url: URL
) -> None:
    async with open_client(uploads_per_hour_per_ip=2) as client:
        first = await send_batch(client, key, JPEG, PNG)
        await execute(
            database_url, "UPDATE idempotency_keys SET status = NULL, claimed_until = now()"
        )
    async with open_client(uploads_per_hour_per_ip=2) as client:
        second = await send_batch(client, key, JPEG, PNG)
        assert second.status_code == 201
        assert second.json()["uploaded"] == first.json()["uploaded"]
