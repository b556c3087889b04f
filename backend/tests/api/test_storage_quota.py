"""What a user hears whose images would be more than their quota."""

import httpx

from app.database.engine import Database
from testkit import samples
from testkit.keys import Holder, make_key, make_user
from testkit.problems import assert_problem

JPEG = samples.jpeg()
SIZE = len(JPEG)
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
