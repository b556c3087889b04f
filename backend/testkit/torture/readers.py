"""Reads of images on every way to them: from several server processes, and through the proxy."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random
from typing import Final, NamedTuple, Self

import httpx

from testkit.torture.book import Book, BrokenPromise, require

CLIENT_SECONDS: Final = 60.0
"""How long a client waits for an answer: longer than the service takes to give one."""
CONNECTIONS: Final = 8
"""Kept to the service's own port: they belong to any of its processes."""
AT_ONCE: Final = 12
"""Requests of those who read whole groups, so that what follows a delete need not wait for them."""
MOST_THUMBNAILS: Final = 2
"""Of one group: each is rendered first."""
TRIES: Final = 5
"""Of a request that is not answered, or only by an error."""
PAUSE_SECONDS: Final = 0.2
FIRST_PAUSE_SECONDS: Final = 0.005
"""Between reads during a change; each is twice as long as the last."""


class Read(NamedTuple):
    """One way to ask for something of an image."""

    suffix: str
    headers: dict[str, str]
    method: str = "GET"


METADATA: Final = Read("", {})
FILES: Final = (
    Read("/file", {}),
    Read("/file", {"Range": "bytes=0-99"}),
    Read("/file", {"If-None-Match": "*"}),
    Read("/file", {}, "HEAD"),
    Read("/file?download=1", {}),
)
THUMBNAIL: Final = Read("/thumbnails/150", {})


class Readers:
    """Some connections to a service, and to the proxy in front of it, if there is one.

    Args:
        images: The URLs of the images, by the name of the way.
        book: Counts what they read.
        chance: Chooses connections and what is asked for.
    """

    def __init__(self, images: dict[str, str], book: Book, chance: Random) -> None:
        self._images = images
        self._book = book
        self._chance = chance
        self._opened = AsyncExitStack()
        self._clients: list[httpx.AsyncClient] = []
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        self._clients = [
            await self._opened.enter_async_context(
                httpx.AsyncClient(timeout=CLIENT_SECONDS, trust_env=False)
            )
            for _ in range(CONNECTIONS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def read(self, ids: Sequence[str]) -> None:
        """Read all of some images, so that whatever can remember them does."""

        async def ask(way: str, image_id: str, read: Read) -> None:
            async with self._slots:
                await self._ask(way, image_id, read)

        await asyncio.gather(*(ask(*one) for one in self._all_of(ids, FILES[0])))

    @asynccontextmanager
    async def reading(self, ids: Sequence[str]) -> AsyncIterator[None]:
        """Go on reading during the block, most often at its beginning."""
        ended = asyncio.Event()
        reading = asyncio.create_task(self._read_until(ended, ids))
        try:
            yield
        finally:
            # Not cancelled: a request that is just connecting would leave its connection open.
            ended.set()
            await asyncio.wait([reading])

    async def require_gone(self, ids: Sequence[str]) -> None:
        """Check that nothing of deleted images is answered any more.

        Raises:
            BrokenPromise: If something is.
        """
        asked = self._all_of(ids, self._chance.choice(FILES))
        await asyncio.gather(*(self._require_gone(*one) for one in asked))

    async def require_name(self, image_id: str, name: str) -> None:
        """Check that the metadata of an image has its new name, on any way, or that it is gone."""
        for way in self._images:
            answer = await self._answer(way, image_id, METADATA)
            if answer and answer.status_code != httpx.codes.NOT_FOUND:
                self._book.count["reads after a rename"] += 1
                found = answer.json()["filename"]
                require(found == name, f"{image_id}, {way}: {found} is stale, it is {name} now")

    def _all_of(self, ids: Sequence[str], file: Read) -> Iterator[tuple[str, str, Read]]:
        """List what to ask for of images: files on every way, and what no proxy keeps on any."""
        for number, one in enumerate(ids):
            yield self._chance.choice([*self._images]), one, METADATA
            yield from ((way, one, file) for way in self._images)
            if number < MOST_THUMBNAILS:
                yield from ((way, one, THUMBNAIL) for way in self._images)

    async def _require_gone(self, way: str, image_id: str, read: Read) -> None:
        answer = await self._answer(way, image_id, read)
        if not answer:
            return
        self._book.count["reads after a delete"] += 1
        if answer.status_code != httpx.codes.NOT_FOUND:
            raise BrokenPromise(
                f"{image_id} is deleted, but {way} {read} is answered {answer.status_code}: "
                f"{dict(answer.headers)}"
            )

    async def _answer(self, way: str, image_id: str, read: Read) -> httpx.Response | None:
        """Return an answer that says something of an image; None if there was none."""
        for _ in range(TRIES):
            answer = await self._ask(way, image_id, read)
            if answer and not answer.is_server_error and answer.status_code != 408:
                return answer
            await asyncio.sleep(PAUSE_SECONDS)
        self._book.count["reads without an answer"] += 1
        return None

    async def _read_until(self, ended: asyncio.Event, ids: Sequence[str]) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not ended.is_set():
            way = self._chance.choice(list(self._images))
            read = self._chance.choice((METADATA, METADATA, FILES[0], THUMBNAIL))
            await self._ask(way, self._chance.choice(ids), read)
            self._book.count["reads during a change"] += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), pause)
            pause *= 2

    async def _ask(self, way: str, image_id: str, read: Read) -> httpx.Response | None:
        client = self._chance.choice(self._clients)
        url = f"{self._images[way]}/{image_id}{read.suffix}"
        try:
            return await client.request(read.method, url, headers=read.headers)
        except httpx.HTTPError:
            return None
