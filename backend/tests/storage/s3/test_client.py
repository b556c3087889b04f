import asyncio
import urllib.request

import pytest

from app.domain.errors import ObjectNotFound
from app.storage.s3.client import S3Client
from app.storage.s3.opened import ObjectBody
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.relay import Relay
from testkit.storages import ConnectS3

pytestmark = needs_ceph

KEYS = [f"{number:032x}.jpg" for number in range(5)]
KEY = KEYS[0]
PART = b"x" * (5 * 1024 * 1024)


async def read(body: ObjectBody) -> bytes:
    data = b""
    while block := await body.read():
        data += block
    await body.close()
    return data


async def put(client: S3Client, *keys: str, content: bytes = b"bytes") -> None:
    for key in keys:
        await client.put_object(key, [content], "image/jpeg")


async def test_an_object_is_the_bytes_of_its_parts(client: S3Client) -> None:
    await client.put_object(KEY, [b"some ", memoryview(b"bytes")], "image/jpeg")
    body = await client.get_object(KEY)
    assert (body.size, await read(body)) == (10, b"some bytes")


async def test_keys_are_below_the_prefix(client: S3Client, ceph: Ceph, bucket: str) -> None:
    await put(client, KEY)
    assert await asyncio.to_thread(ceph.keys, bucket) == [f"images/2026/{KEY}"]


@pytest.mark.parametrize(
    ("start", "length", "span"),
    [(0, 1, b"b"), (1, 3, b"yte"), (3, None, b"es"), (4, 99, b"s"), (5, None, b""), (9, 1, b"")],
)
async def test_a_span_is_as_long_as_the_object_allows(
    client: S3Client, start: int, length: int | None, span: bytes
) -> None:
    await put(client, KEY)
    body = await client.get_object(KEY, start, length)
    assert (body.size, await read(body)) == (5, span)


async def test_an_object_may_be_empty(client: S3Client) -> None:
    await put(client, KEY, content=b"")
    assert await read(await client.get_object(KEY)) == b""
    assert await read(await client.get_object(KEY, 0, 1)) == b""
    assert (await client.head_object(KEY)).size == 0


async def test_a_missing_object_is_not_found(client: S3Client) -> None:
    with pytest.raises(ObjectNotFound):
        await client.get_object(KEY)
    with pytest.raises(ObjectNotFound):
        await client.head_object(KEY)


async def test_removing_is_repeatable(client: S3Client) -> None:
    await put(client, KEY)
    await client.delete_object(KEY)
    await client.delete_object(KEY)
    with pytest.raises(ObjectNotFound):
        await client.head_object(KEY)


async def test_objects_are_listed_in_order_after_a_key(client: S3Client) -> None:
    assert await client.list_objects() == []
    await put(client, *reversed(KEYS), "a b+c%20&é")
    assert [info.key for info in await client.list_objects()] == [*KEYS, "a b+c%20&é"]
    assert [info.key for info in await client.list_objects(KEYS[3])] == [KEYS[4], "a b+c%20&é"]
    assert await client.list_objects("b") == []


async def test_an_upload_becomes_an_object_by_being_completed(client: S3Client) -> None:
    upload_id = await client.create_upload(KEY, "image/png")
    tags = [
        await client.upload_part(KEY, upload_id, 1, [PART]),
        await client.upload_part(KEY, upload_id, 2, [b"the ", b"tail"]),
    ]
    with pytest.raises(ObjectNotFound):
        await client.head_object(KEY)
    await client.complete_upload(KEY, upload_id, tags)
    assert await read(await client.get_object(KEY)) == PART + b"the tail"
    await client.complete_upload(KEY, upload_id, tags)
    assert await client.list_uploads() == []


async def test_an_aborted_upload_is_gone_however_often(client: S3Client) -> None:
    upload_id = await client.create_upload(KEY, "image/png")
    await client.upload_part(KEY, upload_id, 1, [b"bytes"])
    await client.abort_upload(KEY, upload_id)
    await client.abort_upload(KEY, upload_id)
    assert await client.list_uploads() == []


async def test_uploads_are_listed_page_by_page(client: S3Client) -> None:
    begun = {(key, await client.create_upload(key, "image/png")) for key in (KEY, KEY, KEYS[1])}
    uploads = await client.list_uploads()
    assert {(upload.key, upload.upload_id) for upload in uploads} == begun
    assert await client.list_uploads(uploads[0]) == uploads[1:]
    assert await client.list_uploads(uploads[2]) == []


async def test_uploads_to_other_prefixes_are_not_listed(
    client: S3Client, connect: ConnectS3
) -> None:
    upload_id = await connect(prefix="other").create_upload(KEY, "image/png")
    assert await client.list_uploads() == []
    (upload,) = await connect().list_uploads()
    assert (upload.key, upload.upload_id) == (f"other/{KEY}", upload_id)


async def test_anybody_reads_by_a_presigned_address(client: S3Client) -> None:
    await put(client, KEY)
    disposition = 'inline; filename="a=b & c+d.jpg"'
    headers = {"content-type": "image/webp", "content-disposition": disposition}
    address = await client.presign(KEY, 60, headers)
    answer = await asyncio.to_thread(urllib.request.urlopen, address)
    with answer:
        assert answer.read() == b"bytes"
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["Content-Disposition"] == disposition


async def test_connections_are_used_again(far: tuple[S3Client, Relay]) -> None:
    client, relay = far
    await put(client, KEY)
    for _ in range(3):
        await read(await client.get_object(KEY))
        await client.head_object(KEY)
        await client.list_objects()
    await client.delete_object(KEY)
    assert relay.accepted == 1
