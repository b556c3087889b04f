import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from app.domain.errors import ObjectNotFound, StorageError, StorageFull, StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3 import calls, exchange
from app.storage.s3 import client as client_module
from app.storage.s3.client import S3Client
from testkit.ceph import Ceph
from testkit.live import TIMEOUT, until
from testkit.programs import needs_ceph, needs_openssl
from testkit.relay import Relay, instead
from testkit.storages import ConnectS3
from testkit.tls import make_certificate

pytestmark = needs_ceph

KEY = "0" * 32 + ".jpg"
LARGE = b"x" * (20 * 1024 * 1024)
Far = tuple[S3Client, Relay]


def answering(status: str, body: bytes = b"", fields: str = "") -> Callable[[bytes], bytes]:
    fields += f"Connection: close\r\nContent-Length: {len(body)}\r\n"
    answer = f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body
    return partial(instead, answer)


def once(alter: Callable[[bytes], bytes], relay: Relay) -> Callable[[bytes], bytes]:
    """Alter the first answer only, whose further pieces are lost."""

    def alter_first(received: bytes) -> bytes:
        relay.alter = lose_rest
        return alter(received)

    def lose_rest(received: bytes) -> bytes:
        if not received.startswith(b"HTTP/1.1 "):
            return b""
        relay.alter = bytes
        return received

    return alter_first


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store hang for a moment only, and be asked once."""
    monkeypatch.setattr(exchange, "PROGRESS_SECONDS", 0.3)
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.2)


@pytest.fixture
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.0)


async def put(client: S3Client, content: bytes = b"bytes") -> None:
    await client.put_object(KEY, [content], "image/jpeg")


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("500 Internal Server Error", ""),
        ("502 Bad Gateway", ""),
        ("503 Slow Down", "Retry-After: 1\r\n"),
        ("504 Gateway Timeout", ""),
        ("429 Too Many Requests", ""),
    ],
)
async def test_a_store_that_fails_is_asked_again(far: Far, status: str, fields: str) -> None:
    client, relay = far
    relay.alter = once(answering(status, fields=fields), relay)
    await put(client)
    assert (await client.head_object(KEY)).size == 5


@pytest.mark.usefixtures("_once")
async def test_a_store_that_wants_to_be_left_alone_for_long_is(far: Far) -> None:
    client, relay = far
    relay.alter = answering("503 Slow Down", fields="Retry-After: 100000\r\n")
    with pytest.raises(StorageUnavailable):
        await put(client)


async def test_a_connection_that_breaks_is_opened_again(far: Far) -> None:
    client, relay = far
    await put(client)
    relay.cut()
    upload_id = await client.create_upload(KEY, "image/png")
    relay.cut()
    await client.abort_upload(KEY, upload_id)
    relay.is_broken = True
    relay.cut()
    reading = asyncio.create_task(client.head_object(KEY))
    await until(lambda: relay.accepted > 3)
    relay.is_broken = False
    assert (await reading).size == 5


async def test_a_store_that_cannot_be_reached_is_unavailable(
    connect: ConnectS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.0)
    client = connect(endpoint="http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable) as unavailable:
        await put(client)
    assert "at http://127.0.0.1:9: Connect call failed" in reason(unavailable.value)


@pytest.mark.usefixtures("_short")
async def test_no_call_waits_for_a_store_that_hangs(far: Far) -> None:
    client, relay = far
    relay.held = b"HTTP/1.1\r\n"
    for call in (
        put(client),
        put(client, LARGE),
        client.get_object(KEY),
        client.head_object(KEY),
        client.list_objects(),
        client.create_upload(KEY, "image/png"),
    ):
        with pytest.raises(StorageUnavailable) as unavailable:
            await call
        assert "no bytes for" in reason(unavailable.value)
    await until(lambda: relay.accepted == 6)
    relay.go_on.set()
    await until(lambda: relay.is_idle)


@pytest.mark.usefixtures("_once")
async def test_a_request_waits_for_a_connection_for_so_long(
    connect: ConnectS3, relay: tuple[str, Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "QUEUE_SECONDS", 1.0)
    client = connect(endpoint=relay[0], connections=1)
    await put(client, LARGE)
    body = await client.get_object(KEY)
    with pytest.raises(StorageUnavailable) as unavailable:
        await client.head_object(KEY)
    assert "no connection within" in reason(unavailable.value)
    assert relay[1].accepted == 1
    await body.close()
    assert (await client.head_object(KEY)).size == len(LARGE)


async def test_a_slow_reader_is_no_store_that_hangs(
    connect: ConnectS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(connect(), LARGE)
    monkeypatch.setattr(exchange, "PROGRESS_SECONDS", 2.0)
    body = await connect().get_object(KEY)
    left = body.size - len(await body.read())
    await asyncio.sleep(3)  # while the store is not listened to
    while block := await body.read():
        left -= len(block)
    assert left == 0


@needs_openssl
async def test_a_certificate_that_is_not_trusted_is_said_so_at_once(
    connect: ConnectS3, tmp_path: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*make_certificate(tmp_path))
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StorageUnavailable) as unavailable:
            await put(connect(endpoint=f"https://127.0.0.1:{port}"))
    assert "SSL_CERT_FILE names the authorities" in reason(unavailable.value)


async def test_a_body_that_breaks_off_is_no_object(far: Far) -> None:
    client, relay = far
    await put(client, LARGE)
    body = await client.get_object(KEY)
    relay.cut()
    with pytest.raises(StorageUnavailable):
        while await body.read():
            pass
    await body.close()


async def test_a_cancelled_call_leaves_no_connection_even_to_a_store_that_hangs(
    connect: ConnectS3, relay: tuple[str, Relay]
) -> None:
    address, through = relay
    client = connect(endpoint=address)
    port = urlsplit(address).port

    def is_connected() -> bool:
        return any(
            connection.status == psutil.CONN_ESTABLISHED and connection.raddr.port == port
            for connection in psutil.Process().net_connections("tcp")
        )

    through.held = b"HTTP/1.1\r\n"
    for make in (put(client, LARGE), client.get_object(KEY), client.list_objects()):
        calling = asyncio.create_task(make)
        through.is_holding.clear()
        await through.is_holding.wait()
        assert is_connected()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await until(lambda: not is_connected())
    through.go_on.set()
    await until(lambda: through.is_idle)
    with pytest.raises(ObjectNotFound):
        await client.head_object(KEY)


async def test_a_body_that_is_not_read_to_its_end_leaves_no_connection(far: Far) -> None:
    client, relay = far
    await put(client, LARGE)
    body = await client.get_object(KEY)
    await body.read()
    await body.close()
    await until(lambda: relay.is_idle)


async def test_an_upload_whose_beginning_is_cancelled_is_aborted(
    far: Far, ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "CLEANING_SECONDS", TIMEOUT)
    client, relay = far
    relay.may_answer.clear()
    creating = asyncio.create_task(client.create_upload(KEY, "image/png"))
    async with asyncio.timeout(TIMEOUT):
        while not await asyncio.to_thread(ceph.uploads, bucket):  # noqa: ASYNC110 - the store's
            await asyncio.sleep(0.05)
    creating.cancel()
    await asyncio.sleep(0)
    relay.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await creating
    await client.close()
    assert await asyncio.to_thread(ceph.uploads, bucket) == []


async def begin(client: S3Client) -> tuple[str, list[str]]:
    upload_id = await client.create_upload(KEY, "image/png")
    return upload_id, [await client.upload_part(KEY, upload_id, 1, [b"bytes"])]


async def test_a_completion_whose_answer_is_lost_is_one(far: Far) -> None:
    client, relay = far
    upload = await begin(client)

    def cut(received: bytes) -> bytes:
        relay.cut()
        return received

    relay.alter = once(cut, relay)
    await client.complete_upload(KEY, *upload)
    assert (await client.head_object(KEY)).size == 5


async def test_the_object_decides_whether_an_upload_that_is_gone_was_completed(
    far: Far,
) -> None:
    client, relay = far
    gone = answering("404 Not Found", b"<Error><Code>NoSuchUpload</Code></Error>")
    relay.alter = once(gone, relay)
    with pytest.raises(StorageUnavailable):
        await client.complete_upload(KEY, "gone", ["tag"])
    await put(client)
    relay.alter = once(gone, relay)
    await client.complete_upload(KEY, "gone", ["tag"])


async def test_an_error_inside_a_successful_answer_is_one(far: Far) -> None:
    client, relay = far
    upload = await begin(client)
    inside = b'  <?xml version="1.0"?>\n<Error><Code>InternalError</Code></Error>'
    relay.alter = once(answering("200 OK", inside), relay)
    await client.complete_upload(KEY, *upload)
    assert relay.alter is bytes
    assert (await client.head_object(KEY)).size == 5


async def test_a_list_in_another_order_is_none(far: Far) -> None:
    client, relay = far
    first, second = (f"{number:032x}.jpg" for number in range(2))
    for key in (first, second):
        await client.put_object(key, [b"bytes"], "image/jpeg")
    assert [info.key for info in await client.list_objects()] == [first, second]
    relay.alter = lambda received: received.replace(first.encode(), b"f" * 32 + b".jpg")
    with pytest.raises(StorageUnavailable) as unavailable:
        await client.list_objects()
    assert "not in order of their keys" in reason(unavailable.value)


@pytest.mark.usefixtures("_once")
async def test_a_page_in_html_is_no_answer(far: Far) -> None:
    client, relay = far
    page = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    fields = "Content-Type: text/html\r\nLast-Modified: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
    for status in ("200 OK", "403 Forbidden", "404 Not Found"):
        relay.alter = answering(status, page, fields)
        for call in (
            put(client),
            client.get_object(KEY),
            client.head_object(KEY),
            client.delete_object(KEY),
            client.list_objects(),
            client.list_uploads(),
            client.create_upload(KEY, "image/png"),
            client.upload_part(KEY, "id", 1, [b"bytes"]),
            client.complete_upload(KEY, "id", ["tag"]),
            client.abort_upload(KEY, "id"),
        ):
            with pytest.raises(StorageUnavailable):
                await call


async def test_a_full_bucket_is_full(connect: ConnectS3, ceph: Ceph) -> None:
    bucket = await asyncio.to_thread(ceph.make_bucket)
    await asyncio.to_thread(ceph.limit, bucket, 1)
    with pytest.raises(StorageFull) as full:
        await put(connect(bucket=bucket), b"x" * 8192)
    assert "QuotaExceeded (403); the store is full" in reason(full.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bucket": "no-such-bucket"}, "NoSuchBucket (404); create the bucket"),
        ({"access_key": "nobody"}, "InvalidAccessKeyId (403); the store does not know"),
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch (403); AWS_SECRET_ACCESS_KEY is not"),
    ],
)
async def test_what_is_set_wrong_is_said_in_one_sentence_and_no_object_missing(
    connect: ConnectS3, changes: dict[str, str], sentence: str
) -> None:
    client = connect(**changes)
    for call in (
        put(client),
        client.get_object(KEY),
        client.head_object(KEY),
        client.delete_object(KEY),
        client.list_objects(),
        client.create_upload(KEY, "image/png"),
    ):
        with pytest.raises(StorageError) as failed:
            await call
        assert isinstance(failed.value, StorageUnavailable)
        assert sentence in reason(failed.value)
