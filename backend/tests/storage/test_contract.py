"""What every storage backend must do."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pytest

from app.domain.errors import ObjectNotFound
from app.services.linking import link
from app.storage.base import StorageBackend
from testkit.storages import Put, read_all

KEY = "0123456789abcdef0123456789abcdef.jpg"
OTHER_KEY = "fedcba9876543210fedcba9876543210.jpg"
LARGE = bytes(range(256)) * 4096 * 3 + b"end"
"""Several blocks, and a bit."""


async def keys(storage: StorageBackend) -> list[str]:
    return [info.key async for info in storage.list()]


@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
async def test_bytes_read_are_the_bytes_written(
    storage: StorageBackend, put: Put, data: bytes
) -> None:
    await put(KEY, data)
    reader = await storage.open(KEY)
    assert reader.size == len(data)
    assert await read_all(reader) == data


async def test_many_small_writes_are_one_object(storage: StorageBackend) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    for start in range(0, len(LARGE), 10_000):
        await staged.write(LARGE[start : start + 10_000])
    await staged.publish()
    assert await read_all(await storage.open(KEY)) == LARGE


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("size", [0, 1, 300_000, len(LARGE)])
async def test_publish_returns_the_checksum_sealed_or_not(
    storage: StorageBackend, size: int, *, is_sealed: bool
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    for begin in range(0, size, 100_000):
        await staged.write(LARGE[begin : min(begin + 100_000, size)])
    if is_sealed:
        await staged.seal()
    assert await staged.publish() == sha256(LARGE[:size]).digest()
    assert await read_all(await storage.open(KEY)) == LARGE[:size]


async def test_a_staged_object_is_invisible_until_published(storage: StorageBackend) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(LARGE)
    await staged.seal()
    assert await keys(storage) == []
    with pytest.raises(ObjectNotFound):
        await storage.open(KEY)
    await staged.publish()
    assert await keys(storage) == [KEY]


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("data", [b"", b"x", LARGE], ids=["empty", "small", "large"])
async def test_a_discarded_object_never_becomes_visible(
    storage: StorageBackend, data: bytes, *, is_sealed: bool
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(data)
    if is_sealed:
        await staged.seal()
    await staged.discard()
    await staged.discard()
    assert await keys(storage) == []


async def test_a_published_object_can_be_discarded(storage: StorageBackend) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(LARGE)
    await staged.publish()
    await staged.discard()
    assert await keys(storage) == []


@pytest.mark.parametrize(
    ("start", "length"),
    [
        (0, 0),
        (0, 1),
        (5, 10),
        (0, len(LARGE)),
        (len(LARGE) - 3, 3),
        (len(LARGE) - 3, 100),
        (262_143, 2),
        (262_144, 262_144),
        (1, 700_000),
        (len(LARGE), 5),
        (100, None),
    ],
)
async def test_a_span_equals_the_slice_of_the_bytes(
    storage: StorageBackend, put: Put, start: int, length: int | None
) -> None:
    await put(KEY, LARGE)
    reader = await storage.open(KEY, start, length)
    assert reader.size == len(LARGE)
    end = None if length is None else start + length
    assert await read_all(reader) == LARGE[start:end]


async def test_a_reader_may_be_closed_early_and_twice(storage: StorageBackend, put: Put) -> None:
    await put(KEY, LARGE)
    reader = await storage.open(KEY)
    await reader.read()
    await reader.close()
    await reader.close()
    assert await reader.read() == b""


async def test_an_empty_span_proves_that_the_object_exists(
    storage: StorageBackend, put: Put
) -> None:
    await put(KEY, b"x")
    for _ in range(2):  # the second time from memory
        await (await storage.open(KEY)).close()
        reader = await storage.open(KEY, 0, 0)
        assert (reader.size, await read_all(reader)) == (1, b"")
    await storage.delete(KEY)
    with pytest.raises(ObjectNotFound):
        await storage.open(KEY, 0, 0)


async def test_an_open_object_can_be_read_to_its_end_after_delete(
    storage: StorageBackend, put: Put
) -> None:
    await put(KEY, LARGE)
    reader = await storage.open(KEY)
    await storage.delete(KEY)
    assert await read_all(reader) == LARGE


async def test_stat_returns_size_and_time(storage: StorageBackend, put: Put) -> None:
    await put(KEY, LARGE)
    info = await storage.stat(KEY)
    assert (info.key, info.size) == (KEY, len(LARGE))
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=1)


async def test_delete_is_idempotent(storage: StorageBackend, put: Put) -> None:
    await put(KEY, b"x")
    await storage.delete(KEY)
    await storage.delete(KEY)
    for look in (storage.open, storage.stat):
        with pytest.raises(ObjectNotFound):
            await look(KEY)


@pytest.mark.parametrize("data", [b"x", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("deleted", [KEY, OTHER_KEY], ids=["first", "second"])
async def test_of_two_objects_with_the_same_bytes_each_outlives_the_other(
    storage: StorageBackend, put: Put, data: bytes, deleted: str
) -> None:
    await put(KEY, data)
    await link(storage, KEY, OTHER_KEY, "image/jpeg")
    assert await keys(storage) == [KEY, OTHER_KEY]
    for key in (KEY, OTHER_KEY):
        assert await read_all(await storage.open(key)) == data
    await storage.delete(deleted)
    (left,) = {KEY, OTHER_KEY} - {deleted}
    assert await keys(storage) == [left]
    assert await read_all(await storage.open(left)) == data


async def test_what_is_not_there_is_not_linked(storage: StorageBackend) -> None:
    with pytest.raises(ObjectNotFound):
        await link(storage, KEY, OTHER_KEY, "image/jpeg")
    assert await keys(storage) == []


async def test_list_yields_every_object_in_key_order(storage: StorageBackend, put: Put) -> None:
    wanted = [uuid4().hex + extension for extension in (".jpg", ".png", "") for _ in range(30)]
    for number, key in enumerate(wanted):
        await put(key, bytes(number))
    infos = [info async for info in storage.list()]
    assert [info.key for info in infos] == sorted(wanted)
    assert {info.key: info.size for info in infos} == {key: n for n, key in enumerate(wanted)}


async def test_concurrent_uploads_do_not_mix(storage: StorageBackend) -> None:
    async def put_slowly(number: int) -> tuple[str, bytes]:
        key, data = uuid4().hex, bytes([number]) * 400_000
        staged = await storage.stage(key, "image/jpeg")
        for start in range(0, len(data), 50_000):
            await staged.write(data[start : start + 50_000])
            await asyncio.sleep(0)
        await staged.publish()
        return key, data

    for key, data in await asyncio.gather(*(put_slowly(number) for number in range(16))):
        assert await read_all(await storage.open(key)) == data


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "..",
        "../" + KEY,
        "/etc/passwd",
        KEY.upper(),
        KEY + "/x",
        KEY + "\n",
        "a" * 31,
        "0123456789abcdef0123456789abcdef.",
        "0123456789abcdef0123456789abcdef.a/b",
        "x" + KEY,
    ],
)
async def test_an_invalid_key_is_rejected(storage: StorageBackend, key: str) -> None:
    with pytest.raises(ValueError, match="not a storage key"):
        await storage.stage(key, "image/jpeg")
    for act in (storage.open, storage.stat, storage.delete):
        with pytest.raises(ValueError, match="not a storage key"):
            await act(key)


async def test_probe_succeeds_and_leaves_nothing(storage: StorageBackend) -> None:
    await storage.probe()
    assert await keys(storage) == []
