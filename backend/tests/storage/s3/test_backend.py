"""What a storage over S3 adds to the contract: parts, outcomes, leftovers, readiness."""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256

import pytest

from app.config.storage_url import parse_storage_url
from app.domain.errors import StorageFull, StorageUnavailable
from app.observability.reasons import reason
from app.storage.abilities import UnlistedUploads
from app.storage.s3 import backend, calls
from app.storage.s3.backend import CHECK, S3Storage
from app.storage.s3.budget import PART, ByteBudget
from app.storage.s3.credentials import Credentials
from app.storage.s3.marking import NAME
from testkit.ceph import Ceph
from testkit.live import TIMEOUT
from testkit.programs import needs_ceph
from testkit.relay import Relay, instead
from testkit.storages import put, read_all, storage_over

pytestmark = needs_ceph

KEY = "0123456789abcdef0123456789abcdef.jpg"
LARGE = bytes(range(256)) * (2 * PART // 256) + b"tail"
"""Three parts, the last of which is smaller."""
PREFIX = "images/2026"


@pytest.fixture
async def storage(ceph: Ceph, bucket: str) -> AsyncIterator[S3Storage]:
    storage = storage_over(ceph, bucket, PREFIX)
    await storage.prepare()
    yield storage
    await storage.close()


@pytest.fixture
async def far(
    ceph: Ceph, bucket: str, relay: tuple[str, Relay]
) -> AsyncIterator[tuple[S3Storage, Relay]]:
    """A storage over the relay, at the same place."""
    address, through = relay
    location = parse_storage_url(f"s3://{bucket}/{PREFIX}?endpoint={address}")
    storage = S3Storage(location, Credentials(ceph.access_key, ceph.secret_key))
    await storage.prepare()
    yield storage, through
    await storage.close()


@pytest.fixture
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests be made once."""
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.0)


async def keys(storage: S3Storage) -> list[str]:
    return [info.key async for info in storage.list()]


async def leftovers(storage: S3Storage) -> list[str]:
    return [info.key async for info in storage.list_staged()]


def part_sizes(ceph: Ceph, bucket: str, upload: str) -> list[int]:
    """Return the sizes of the parts that an upload has, by the name of a leftover."""
    parts = ceph.ask("GET", f"{bucket}/{PREFIX}/{upload}").text
    return [int(size) for size in re.findall(r"<Size>([0-9]+)", parts)]


async def test_parts_have_one_size_and_the_rest_is_sent_at_seal(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    for begin in range(0, len(LARGE), 100_000):
        await staged.write(LARGE[begin : begin + 100_000])
    (upload,) = await leftovers(storage)
    assert part_sizes(ceph, bucket, upload) == [PART, PART]
    await staged.seal()
    assert part_sizes(ceph, bucket, upload) == [PART, PART, len(LARGE) - 2 * PART]
    assert await keys(storage) == []
    assert await staged.publish() == sha256(LARGE).digest()
    assert await read_all(await storage.open(KEY)) == LARGE
    assert await leftovers(storage) == []


async def test_an_object_of_less_than_a_part_is_one_request(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(LARGE[: PART - 1])
    assert await leftovers(storage) == []
    await staged.publish()
    object_ = ceph.ask("HEAD", f"{bucket}/{PREFIX}/{KEY}")
    assert "-" not in object_.headers["ETag"]  # which has a dash after several parts
    assert object_.headers["Content-Type"] == "image/jpeg"


async def test_sealed_objects_hold_no_memory(ceph: Ceph, bucket: str) -> None:
    location = parse_storage_url(ceph.url(bucket))
    keys_of = Credentials(ceph.access_key, ceph.secret_key)
    storage = S3Storage(location, keys_of, budget=ByteBudget(2 * PART))
    staged = []
    for number in range(5):  # whose bytes are more than the budget
        staged.append(await storage.stage(f"{number:032x}", "image/jpeg"))
        await staged[-1].write(bytes(PART - 1))
        await staged[-1].seal()
    for one in staged:
        await one.publish()
    assert len(await keys(storage)) == len(staged)
    await storage.close()


async def test_many_large_uploads_at_once_share_a_small_budget(ceph: Ceph, bucket: str) -> None:
    location = parse_storage_url(ceph.url(bucket))
    keys_of = Credentials(ceph.access_key, ceph.secret_key)
    storage = S3Storage(location, keys_of, budget=ByteBudget(2 * PART))

    async def upload(number: int) -> None:
        staged = await storage.stage(f"{number:032x}", "image/jpeg")
        for begin in range(0, len(LARGE), 1_000_000):
            await staged.write(LARGE[begin : begin + 1_000_000])
            await asyncio.sleep(0)
        assert await staged.publish() == sha256(LARGE).digest()

    await asyncio.gather(*(upload(number) for number in range(12)))
    assert [info.size async for info in storage.list()] == 12 * [len(LARGE)]
    await storage.close()


@pytest.mark.parametrize("size", [1000, len(LARGE)], ids=["small", "large"])
async def test_an_upload_that_is_cancelled_anywhere_leaves_nothing(
    storage: S3Storage, size: int
) -> None:
    async def upload(number: int) -> None:
        staged = await storage.stage(f"{number:032x}", "image/jpeg")
        try:
            await staged.write(LARGE[:size])
            await staged.publish()
        except BaseException:
            await staged.discard()
            raise

    for number in range(12):  # at later and later steps
        task = asyncio.create_task(upload(number))
        for _ in range(1 + number * number):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            await storage.delete(f"{number:032x}")
    await settled(storage)


async def settled(storage: S3Storage) -> None:
    """Wait until the store has ended what was interrupted, and check that nothing is left."""
    for _ in range(100):
        if await keys(storage) == await leftovers(storage) == []:
            return
        for key in await keys(storage):  # of a request that the store carried out after all
            await storage.delete(key)
        await asyncio.sleep(0.1)
    raise AssertionError([*await keys(storage), *await leftovers(storage)])


Far = tuple[S3Storage, Relay]


@pytest.mark.parametrize("data", [b"x" * 1000, LARGE], ids=["small", "large"])
@pytest.mark.usefixtures("_once")
async def test_an_object_whose_confirmation_is_lost_is_published(far: Far, data: bytes) -> None:
    storage, relay = far
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(data)

    def lose(received: bytes) -> bytes:
        if b"200 OK" not in received:
            return received
        relay.alter = bytes
        relay.cut()
        return b""

    relay.alter = lose
    assert await staged.publish() == sha256(data).digest()
    assert await read_all(await storage.open(KEY)) == data


@pytest.mark.usefixtures("_once")
async def test_a_complete_that_fails_inside_of_a_success_is_none(far: Far) -> None:
    storage, relay = far
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(LARGE)
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>"
    failure = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    relay.alter = partial(instead, failure)
    with pytest.raises(StorageUnavailable):
        await staged.publish()
    relay.alter = bytes
    await staged.discard()
    await staged.discard()
    await settled(storage)


@pytest.mark.parametrize("data", [b"x" * 1000, LARGE], ids=["small", "large"])
@pytest.mark.usefixtures("_once")
async def test_an_object_of_unknown_outcome_is_discarded(
    storage: S3Storage, far: Far, data: bytes
) -> None:
    broken, relay = far
    staged = await broken.stage(KEY, "image/jpeg")
    await staged.write(data)
    if data is LARGE:
        await staged.seal()  # so that nothing but its completion is left
    relay.loses_answers = True
    publishing = asyncio.create_task(staged.publish())
    async with asyncio.timeout(TIMEOUT):
        while await keys(storage) != [KEY]:  # noqa: ASYNC110 - the store is not ours
            await asyncio.sleep(0.02)
    relay.is_broken = True
    relay.cut()
    with pytest.raises(StorageUnavailable):
        await publishing
    relay.loses_answers = relay.is_broken = False
    await staged.discard()
    assert await keys(storage) == await leftovers(storage) == []


@pytest.mark.usefixtures("_once")
async def test_what_cannot_be_discarded_is_logged_and_found(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    storage, relay = far
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(LARGE)
    relay.is_broken = True
    relay.cut()
    await staged.discard()
    assert f"could not remove {KEY}, which fsck will find" in caplog.text
    relay.is_broken = False
    (leftover,) = await leftovers(storage)
    await storage.discard_staged(leftover)
    await storage.discard_staged(leftover)
    assert await leftovers(storage) == []


async def test_uploads_below_another_prefix_are_left_alone(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    other = storage_over(ceph, bucket, "images/2025")
    staged = await other.stage(KEY, "image/jpeg")
    await staged.write(LARGE)
    assert len(await leftovers(other)) == 1
    assert await leftovers(storage) == []
    await staged.discard()
    await other.close()


async def test_a_store_that_lists_no_uploads_is_found_out(far: Far) -> None:
    storage, relay = far
    relay.alter = lambda received: re.sub(
        rb"<Upload>.*</Upload>", lambda found: b" " * len(found[0]), received
    )
    with pytest.raises(UnlistedUploads):
        await leftovers(storage)
    relay.alter = bytes
    assert await leftovers(storage) == []


async def test_what_is_no_object_is_left_alone_and_named(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    await put(storage, KEY, b"x")
    for name in ("notes.txt", "folder/", f"{KEY}.bak"):
        ceph.ask("PUT", f"{bucket}/{PREFIX}/{name}")
    ceph.ask("PUT", f"{bucket}/{KEY}")
    skipped: list[str] = []
    assert [info.key async for info in storage.list(skipped.append)] == [KEY]
    assert skipped == [f"{KEY}.bak", "folder/", "notes.txt"]
    assert {f"{PREFIX}/{CHECK}", f"{PREFIX}/{KEY}"} <= set(ceph.keys(bucket))
    assert f"{PREFIX}/{NAME}" not in ceph.keys(bucket)


@pytest.mark.parametrize("sent", [b"01", b"01234567"])
async def test_a_store_that_sends_another_span_fails_the_download(far: Far, sent: bytes) -> None:
    storage, relay = far
    await put(storage, KEY, b"0123456789")
    answer = (
        b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
        b"Last-Modified: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
        b"Content-Range: bytes 0-4/10\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent)
    )
    relay.alter = partial(instead, answer)
    reader = await storage.open(KEY, 0, 5)
    with pytest.raises(StorageUnavailable):
        await read_all(reader)
    await reader.close()


async def test_a_full_store_is_known_by_readiness_at_once_and_so_is_room(
    storage: S3Storage, ceph: Ceph, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "WRITTEN_SECONDS", TIMEOUT)  # a limit is set by two programs
    ceph.limit(bucket, 4096)
    await storage.probe()  # a write has just succeeded, and is not paid for again
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(bytes(100_000))
    with pytest.raises(StorageFull):
        await staged.publish()
    await staged.discard()
    ceph.limit(bucket, 1)
    with pytest.raises(StorageFull):
        await storage.probe()
    ceph.limit(bucket, -1)
    await storage.probe()


async def test_readiness_has_a_deadline(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, relay = far
    monkeypatch.setattr(backend, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(backend, "WRITTEN_SECONDS", 0.0)
    relay.loses_answers = True
    with pytest.raises(StorageUnavailable) as raised:
        await storage.probe()
    assert storage.location in reason(raised.value)


async def test_after_close_uploads_in_progress_fail(
    storage: S3Storage, ceph: Ceph, bucket: str
) -> None:
    closed = storage_over(ceph, bucket, PREFIX)
    staged = await closed.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    await closed.close()
    with pytest.raises(StorageUnavailable):
        await staged.publish()
    await staged.discard()
    assert await keys(storage) == []


async def test_a_span_that_begins_elsewhere_is_not_taken_for_the_one_asked_for(far: Far) -> None:
    """A proxy that caches slices may send one of the same length."""
    storage, relay = far
    await put(storage, KEY, b"0123456789")
    answer = (
        b"HTTP/1.1 206 Partial Content\r\nConnection: close\r\n"
        b"Last-Modified: Thu, 26 Nov 2026 12:00:00 GMT\r\n"
        b"Content-Range: bytes 0-4/10\r\nContent-Length: 5\r\n\r\n01234"
    )
    relay.alter = partial(instead, answer)
    with pytest.raises(StorageUnavailable):
        await storage.open(KEY, 5, 5)
