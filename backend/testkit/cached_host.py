"""Several processes of one host over a real cache, in the test's own event loop.

Each is an application with its own connections to the database and, maybe through a relay, to the
cache.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import httpx
from pydantic import SecretStr

from app.cache.redis import RedisCache
from app.config.settings import Settings
from app.database.engine import Database
from app.jobs.invalidation import invalidation_task
from app.queue.worker import QueueWorker
from app.services.changes import Changes
from app.statements.jobs import find_rows_to_invalidate
from testkit import samples
from testkit.asgi import open_client
from testkit.live import TIMEOUT, until
from testkit.relay import Relay, relaying
from testkit.uploads import execute
from testkit.valkey import CacheServer, short_operations

IMAGES = "/api/v1/images"
JPEG = samples.jpeg(200, 150, quality=10)
OLD, NEW, UNSEEN = "old.jpg", "new.jpg", "unseen.jpg"
RENAME_UNSEEN = "UPDATE images SET filename = 'unseen.jpg', search = 'unseen'"


class CachedHost:
    """What the processes share; `cached_host` makes it."""

    def __init__(
        self, settings: Settings, database: Database, server: CacheServer, opened: AsyncExitStack
    ) -> None:
        self.settings = settings
        self.database = database
        self.server = server
        self._opened = opened
        self.relay: Relay | None = None
        """Before the cache, for a process that is to lose it."""

    async def open(self, *, relayed: bool = False, **changes: object) -> httpx.AsyncClient:
        """Start a process, with some settings changed, and return a client of it."""
        url = self.server.url
        if relayed:
            url, self.relay = await self._opened.enter_async_context(relaying(url))
        changed = self.settings.model_copy(update={"redis_url": SecretStr(url), **changes})
        return await self._opened.enter_async_context(open_client(changed))

    async def upload(self, client: httpx.AsyncClient) -> str:
        """Upload an image, whose row is not cached then; return its path."""
        files = {"file": (OLD, JPEG, "image/jpeg")}
        response = await client.post(f"{IMAGES}/upload", files=files)
        return f"{IMAGES}/{response.json()['id']}"

    async def upload_cached(self, client: httpx.AsyncClient) -> str:
        """Upload an image, and read it until its row is in the cache; return its path."""
        path = await self.upload(client)
        await self.until_cached(client, path)
        return path

    async def until_cached(self, client: httpx.AsyncClient, *paths: str) -> None:
        """Read images until their rows are in the cache."""
        async with asyncio.timeout(TIMEOUT):
            for path in paths:
                while not self.has(path):
                    assert await name(client, path) == OLD

    def has(self, path: str) -> bool:
        """Return whether the cache has the row of an image."""
        return bool(self.server.ask("KEYS", f"*:image:{id_of(path).hex}"))

    async def pending(self) -> list[str]:
        """Return the paths of the images that are to be invalidated by jobs."""
        async with self.database.read() as session:
            return [f"{IMAGES}/{one}" for one in await find_rows_to_invalidate(session, 10)]

    async def rename_unseen(self) -> None:
        """Change all rows behind the back of the service."""
        await execute(self.database, RENAME_UNSEEN)

    async def invalidate_pending(self) -> None:
        """Let a worker do the jobs that are pending, until there are none."""
        cache = RedisCache(self.server.url, 300)
        worker = QueueWorker(self.database, [invalidation_task(Changes(self.database, cache))], 1)
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(TIMEOUT):
            while await self.pending():
                pass
        worker.stop()
        await working
        await cache.close()

    async def hold_fill(self, reader: httpx.AsyncClient, path: str) -> None:
        """Read through the relay until it holds a command that fills."""
        assert self.relay
        self.relay.held = b"'NX'"
        with short_operations():
            async with asyncio.timeout(TIMEOUT):
                while not self.relay.is_holding.is_set():
                    assert await name(reader, path) == OLD

    async def release_fill(self) -> None:
        """Let the command arrive, and wait until it is executed."""
        assert self.relay

        def executed() -> int:
            calls: int = self.server.ask("INFO", "commandstats")["cmdstat_eval"]["calls"]
            return calls

        before = executed()
        self.relay.go_on.set()
        await until(lambda: executed() > before)


@asynccontextmanager
async def cached_host(
    settings: Settings, database: Database, server: CacheServer
) -> AsyncIterator[CachedHost]:
    """Yield a host without processes; those that are opened end with the block."""
    async with AsyncExitStack() as opened:
        yield CachedHost(settings, database, server, opened)


def id_of(path: str) -> UUID:
    return UUID(path.rpartition("/")[2])


async def name(client: httpx.AsyncClient, path: str) -> str:
    """Return the name of an image that there is."""
    response = await client.get(path)
    assert response.status_code == 200, response.text
    filename: str = response.json()["filename"]
    return filename


async def until_named(client: httpx.AsyncClient, path: str, expected: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while await name(client, path) != expected:
            pass


async def assert_changed(*clients: httpx.AsyncClient, path: str) -> None:
    """Check that to each process the image is gone, for downloads too, or has its new name.

    Of a private one the file is there for nobody who has no more than its path.
    """
    for client in clients:
        response = await client.get(path)
        is_gone = response.status_code == 404
        assert is_gone or response.json()["filename"] == NEW
        is_hidden = is_gone or not response.json()["is_public"]
        file = await client.head(f"{path}/file")
        assert (file.status_code == 404) == is_hidden
