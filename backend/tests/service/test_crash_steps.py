"""A process that dies at any step of an upload, a delete or a sharing: what was acknowledged stays.

Every effect that the service has on the system is counted, and the process kills itself before
the first, before the second, and so on, and after the last; after each death the promise of
ADR 0003 is checked. The effects are listed here, so that a step left out or moved is seen even
where a killed process alone would not show it: fsync matters only when the power fails.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.cache.redis import RedisCache
from app.database.engine import Database
from app.domain.errors import ImageNotFound
from app.domain.image import Image
from app.services.changes import WAIT_SECONDS
from app.services.sharing import ByteSharing
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.local.blocks import BLOCK
from testkit import samples
from testkit.crash_driver import ACKNOWLEDGE, LIMITS
from testkit.crash_host import Driver, Host, running_driver
from testkit.forms import stream
from testkit.live import TIMEOUT
from testkit.storages import OpenStorage
from testkit.uploads import execute, upload_batch_once, upload_once
from testkit.valkey import cache_server

SMALL = samples.jpeg()
LARGE = samples.sized_jpeg(2 * BLOCK + 1000)

FIRST_BLOCK = ["create staged file", "write staged file"]
PUBLISH = ["fsync staged file", "rename staged file", "fsync published folder", "INSERT", "COMMIT"]
SMALL_UPLOAD = [*FIRST_BLOCK, *PUBLISH]
# What arrives goes to the disk a block at a time, and what is left of it just before the fsync.
REST = ["write staged file"]
LARGE_UPLOAD = [*FIRST_BLOCK, *REST, *REST, *PUBLISH]
# Both wait, wholly on the disk, until the form has arrived.
REST_OF_WAITING = ["write staged file", "fsync staged file"]
SMALL_AND_LARGE_BATCH = [
    *["create staged file", *REST_OF_WAITING],
    *[*FIRST_BLOCK, *REST, *REST_OF_WAITING],
    *[*PUBLISH, *PUBLISH],
]
PUBLISH_KEYED = [*PUBLISH[:3], "SELECT", "INSERT", "INSERT", "COMMIT"]
KEYED_UPLOAD = ["INSERT", *FIRST_BLOCK, *PUBLISH_KEYED, "UPDATE"]
KEYED_BATCH = [
    *["INSERT", *2 * [*FIRST_BLOCK[:1], *REST_OF_WAITING]],
    *[*PUBLISH_KEYED, *PUBLISH_KEYED, "UPDATE"],
]
DELETE = ["DELETE", "COMMIT"]
REMOVE = ["remove published file"]
SHARE = [
    *["SELECT", "utime published file", "link published file", "exchange names"],
    *["fsync published folder", "remove staged file"],
]
NO_SERVER = "redis://127.0.0.1:1/0"


@pytest.fixture
def driver() -> Iterator[Driver]:
    with running_driver() as driver:
        yield driver


@pytest.fixture
def host(database_url: URL, database: Database, tmp_path: Path, open_storage: OpenStorage) -> Host:
    root = tmp_path / "images"
    return Host(database_url, database, root, open_storage(root))


@pytest.mark.parametrize(
    ("action", "contents", "effects"),
    [
        ("upload", [SMALL], SMALL_UPLOAD),
        ("upload", [LARGE], LARGE_UPLOAD),
        ("batch", [SMALL, LARGE], SMALL_AND_LARGE_BATCH),
    ],
    ids=["small", "large", "batch"],
)
async def test_an_upload_that_dies_at_any_step_keeps_what_it_acknowledged(
    driver: Driver, host: Host, action: str, contents: list[bytes], effects: list[str]
) -> None:
    sent = {f"{number}.jpg": content for number, content in enumerate(contents)}
    incoming = [host.root.parent / name for name in sent]
    for file, content in zip(incoming, contents, strict=True):
        file.write_bytes(content)
    effects = [*effects, ACKNOWLEDGE]
    for step in range(1, len(effects) + 2):
        await host.empty()
        orders = host.orders(action, kill_before=step)
        orders["files"] = [str(file) for file in incoming]
        run = driver(orders)
        assert run.effects == effects[:step]
        assert run.acknowledged == (step > len(effects))
        stored = await host.assert_consistent(sent)
        assert len(stored) == effects[: step - 1].count("COMMIT"), effects[:step]
        if run.acknowledged:
            assert stored == set(run.image_ids)
            assert [await host.download(image_id) for image_id in run.image_ids] == contents
            assert len(host.files()) == len(contents)


@pytest.mark.parametrize(
    ("action", "contents", "effects"),
    [("keyed upload", [SMALL], KEYED_UPLOAD), ("keyed batch", [SMALL, SMALL], KEYED_BATCH)],
    ids=["one", "batch"],
)
async def test_a_request_with_a_key_that_dies_at_any_step_is_stored_once_when_it_is_sent_again(
    driver: Driver, host: Host, action: str, contents: list[bytes], effects: list[str]
) -> None:
    sent = {f"{number}.jpg": content for number, content in enumerate(contents)}
    incoming = [host.root.parent / name for name in sent]
    for file, content in zip(incoming, contents, strict=True):
        file.write_bytes(content)
    effects = [*effects, ACKNOWLEDGE]
    # What becomes of a staged file is the same without a key.
    for step in (1, 2, *range(effects.index("SELECT"), len(effects) + 2)):
        await host.empty()
        orders = host.orders(action, kill_before=step)
        orders["files"] = [str(file) for file in incoming]
        run = driver(orders)
        assert run.effects == effects[:step]
        before = await host.assert_consistent(sent)
        await execute(host.database, "UPDATE idempotency_keys SET claimed_until = now()")
        again = [IncomingFile(name, stream([content])) for name, content in sent.items()]
        if action == "keyed upload":
            results = [await upload_once(host.services, again[0])]
        else:
            images = await upload_batch_once(host.services, *again)
            results = [image for image in images if isinstance(image, Image)]
        ids = [image.id for image in results]
        assert before <= {*ids} == await host.assert_consistent(sent), effects[:step]
        assert len(ids) == len(contents)
        assert run.image_ids in ([], ids)


@pytest.mark.parametrize("number", [1, 3], ids=["one", "batch"])
async def test_a_delete_that_dies_at_any_step_never_leaves_a_row_without_its_file(
    driver: Driver, host: Host, number: int
) -> None:
    effects = [*DELETE, *REMOVE * number, ACKNOWLEDGE]
    for step in range(1, len(effects) + 2):
        await host.empty()
        ids = {
            (await host.services.uploads.upload(IncomingFile("0.jpg", stream([SMALL])), None)).id
            for _ in range(number)
        }
        orders = host.orders("delete", kill_before=step)
        orders["image_ids"] = [str(one) for one in ids]
        run = driver(orders)
        assert run.effects[:step] == effects[:step]
        assert set(run.effects[step:]) <= set(REMOVE)  # they run concurrently
        assert run.acknowledged == (step > len(effects))
        stored = await host.assert_consistent({"0.jpg": SMALL})
        gone = "COMMIT" in effects[: step - 1]
        assert stored == (set() if gone else ids), effects[:step]
        if run.acknowledged:
            assert host.files() == []
            for one in ids:
                with pytest.raises(ImageNotFound):
                    await host.services.images.get(one)


async def test_sharing_bytes_that_dies_at_any_step_harms_neither_image(
    driver: Driver, host: Host
) -> None:
    effects = [*SHARE, ACKNOWLEDGE]
    for step in range(1, len(effects) + 2):
        await host.empty()
        images = [
            await host.services.uploads.upload(IncomingFile("0.jpg", stream([SMALL])), None)
            for _ in "12"
        ]
        orders = host.orders("share", kill_before=step)
        orders["image_ids"] = [str(images[1].id)]
        run = driver(orders)
        assert run.effects == effects[:step]
        assert run.acknowledged == (step > len(effects))
        assert await host.assert_consistent({"0.jpg": SMALL}) == {image.id for image in images}
        first, second = (host.root / host.storage.locate(image.storage_key) for image in images)
        assert first.samefile(second) == ("exchange names" in effects[: step - 1])
        await ByteSharing(host.database, host.storage).share(images[1].id)
        assert first.samefile(second)
        left = [file for file in host.files() if file not in {first, second}]
        assert all(file.parent.name == "staging" for file in left)
        assert bool(left) == (3 < step <= len(SHARE)), "a name that fsck removes"


@pytest.mark.parametrize("is_reached", [True, False], ids=["cache", "cache-away"])
async def test_a_delete_that_dies_at_any_step_leaves_no_row_in_the_cache_that_others_read(
    driver: Driver, host: Host, tmp_path: Path, *, is_reached: bool
) -> None:
    statements = DELETE if is_reached else ["DELETE", "INSERT", "COMMIT"]
    effects = ["invalidate", *statements, "invalidate", *REMOVE, ACKNOWLEDGE]
    with cache_server(tmp_path) as server:
        cache = RedisCache(server.url, 300)
        reader = Services(host.database, host.storage, LIMITS, cache=cache)
        assert reader.cached_rows
        async with reader.cached_rows.trust.watched():
            for step in range(1, len(effects) + 2):
                await host.empty()
                incoming = IncomingFile("0.jpg", stream([SMALL]))
                image = await host.services.uploads.upload(incoming, None)
                async with asyncio.timeout(TIMEOUT):
                    while not server.ask("KEYS", f"*:image:{image.id.hex}"):
                        await reader.images.get(image.id)
                orders = host.orders("delete", kill_before=step)
                orders["image_ids"] = [str(image.id)]
                orders["redis_url"] = server.url if is_reached else NO_SERVER
                run = driver(orders)
                assert run.effects == effects[:step]
                assert run.acknowledged == (step > len(effects))
                if "COMMIT" not in effects[: step - 1]:
                    assert await reader.images.get(image.id) == image
                    continue
                if not (is_reached or run.acknowledged):
                    await asyncio.sleep(WAIT_SECONDS)
                with pytest.raises(ImageNotFound):
                    await reader.images.get(image.id)
        await cache.close()
