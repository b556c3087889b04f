"""What a user hears whose images would be more than their quota."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api.middleware.request_body import FORM_ALLOWANCE
from app.database.engine import Database
from testkit import samples
from testkit.forms import CONTENT_TYPE, form, part
from testkit.keys import Holder, make_key, make_user
from testkit.problems import assert_problem

JPEG = samples.jpeg()
SIZE = len(JPEG)
LARGE = 4 * FORM_ALLOWANCE
UPLOAD = "/api/v1/images/upload"
BATCH = "/api/v1/images/batch"


async def holder(database: Database, quota_bytes: int) -> Holder:
    return await make_key(database, user=await make_user(database, quota_bytes=quota_bytes))


async def test_the_answer_says_the_limit_what_is_used_and_what_is_needed(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = (await holder(database, 2 * SIZE - 1)).headers
    first = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)
    assert first.status_code == 201
    second = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)
    assert_problem(second, 413, "storage-quota-exceeded")
    problem = second.json()
    members = ("limit", "allowed", "used", "needed")
    assert [problem[name] for name in members] == ["quota_bytes", 2 * SIZE - 1, SIZE, SIZE]


async def test_a_batch_stores_what_has_room_and_says_why_the_rest_has_not(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = (await holder(database, SIZE)).headers
    files = [("files", ("a.jpg", JPEG)), ("files", ("b.jpg", JPEG))]
    response = await client.post(BATCH, files=files, headers=headers)
    assert response.status_code == 207
    [stored], [failed] = response.json()["uploaded"], response.json()["failed"]
    assert (stored["filename"], failed["filename"], failed["status"]) == ("a.jpg", "b.jpg", 413)


async def test_a_file_that_is_declared_larger_than_what_is_left_is_refused_before_it_arrives(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.middleware.request_body.LINGER_SECONDS", 0)
    quota = LARGE + SIZE
    headers = (await holder(database, quota)).headers
    assert (await client.post(UPLOAD, files={"file": JPEG}, headers=headers)).status_code == 201

    async def begin() -> AsyncIterator[bytes]:
        yield form(part(JPEG))[:200]
        await asyncio.Event().wait()  # as long as the service asks for more

    # More than the whole quota, for that nothing was used is remembered for a second.
    declared = quota + FORM_ALLOWANCE + 1
    sent = {"content-type": CONTENT_TYPE, "content-length": str(declared)}
    answer = await client.post(UPLOAD, content=begin(), headers=headers | sent)
    assert_problem(answer, 413, "storage-quota-exceeded")
    problem = answer.json()
    assert [problem[name] for name in ("used", "needed")] == [SIZE, quota + 1]


async def test_a_file_that_may_need_less_than_is_declared_is_refused_by_what_it_needs_only(
    client: httpx.AsyncClient, database: Database
) -> None:
    """Without its metadata, or as one that is there already."""
    large = {"file": samples.sized_jpeg(LARGE)}
    headers = (await holder(database, LARGE - 1)).headers
    stripped = {"strip_metadata": "true"}
    for fields, status in (({}, 413), (stripped, 201)):
        answer = await client.post(UPLOAD, data=fields, files=large, headers=headers)
        assert answer.status_code == status
        assert status != 201 or answer.json()["file_size"] < LARGE // 2
    headers = (await holder(database, LARGE)).headers
    again = {"on_duplicate": "return"}
    for fields, status in (({}, 201), ({}, 413), (again, 200)):
        answer = await client.post(UPLOAD, data=fields, files=large, headers=headers)
        assert answer.status_code == status
