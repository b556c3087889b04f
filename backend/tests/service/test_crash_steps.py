"""A process that dies at any step of an upload or a delete: what was acknowledged is kept.

Every effect that the service has on the system is counted, and the process kills itself before
the first, before the second, and so on, and after the last; after each death the promise of
ADR 0003 is checked. The effects are listed here, so that a step left out or moved is seen even
where a killed process alone would not show it: fsync matters only when the power fails.
"""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.engine import URL

from app.cache.redis import RedisCache
from app.database.engine import Database
from app.domain.errors import ImageNotFound
from app.domain.image import Image
from app.models import ImageRow
from app.services.changes import WAIT_SECONDS
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.local.backend import LocalStorage
from app.storage.local.blocks import BLOCK
from app.storage.local.marking import NAME
from testkit import crash_driver, samples
from testkit.crash_driver import ACKNOWLEDGE, LIMITS, Orders
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
NO_SERVER = "redis://127.0.0.1:1/0"


class Run:
    """What is known of a process after its death."""

    def __init__(self, lines: list[str]) -> None:
        assert lines[-1] == f"end {-signal.SIGKILL}", lines
        self.effects = [line for line in lines[:-1] if not line.startswith("acknowledged")]
        acknowledged = [line.split()[1:] for line in lines if line.startswith("acknowledged")]
        self.acknowledged = bool(acknowledged)
        self.image_ids = [UUID(word) for words in acknowledged for word in words]


Driver = Callable[[Orders], Run]


@pytest.fixture
def driver() -> Iterator[Driver]:
    """Start the process whose forks carry out orders."""
    with subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-m", crash_driver.__name__],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        requests, answers = process.stdin, process.stdout

        def run(orders: Orders) -> Run:
            requests.write(json.dumps(orders) + "\n")
            requests.flush()
            lines: list[str] = []
            while not lines or not lines[-1].startswith("end "):
                line = answers.readline()
                assert line, "the driver itself has ended"
                lines.append(line.rstrip("\n"))
            return Run(lines)

        yield run
        requests.close()


class Host:
    """Database and storage as the dead process left them, and a service that starts over them."""

    def __init__(self, url: URL, database: Database, root: Path, storage: LocalStorage) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.database = database
        self.root = root
        self.storage = storage
        self.services = Services(database, self.storage, LIMITS)

    async def empty(self) -> None:
        await self.services.readiness.prepare_storage()
        await execute(
            self.database,
            "DELETE FROM images",
            "DELETE FROM procrastinate_jobs",
            "DELETE FROM idempotency_keys",
        )
        for file in self.files():
            file.unlink()

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and path.name != NAME]

    def orders(self, action: str, kill_before: int) -> Orders:
        return Orders(
            action=action,
            url=self.url,
            root=str(self.root),
            kill_before=kill_before,
            files=[],
            image_ids=[],
            redis_url="",
        )

    async def download(self, image_id: UUID) -> bytes:
        file = await self.services.files.find(image_id)
        reader = await self.services.files.open(file, 0, file.size)
        data = b""
        while block := await reader.read():
            data += block
        await reader.close()
        return data

    async def assert_consistent(self, sent: dict[str, bytes]) -> set[UUID]:
        """Check what must hold at any moment; return which images there are.

        Every row has its whole file. Besides these there are only whole files without a row, and
        staging files: what `fsck` removes.
        """
        async with self.database.read() as session:
            images = (await session.scalars(select(ImageRow))).all()
        for image in images:
            assert await self.download(image.id) == sent[image.filename]
        for file in self.files():
            if file.parent != self.root / "staging":
                assert file.read_bytes() in sent.values(), f"{file} is half an image"
        return {image.id for image in images}


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
