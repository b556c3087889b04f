"""Clients of a service, whatever happens to it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import httpx

from testkit.torture.book import Book, require
from testkit.torture.readers import CLIENT_SECONDS, Readers

NOT_DONE: Final = (
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.REQUEST_TIMEOUT,  # of a process that was stopped, and takes its client for slow
    httpx.codes.BAD_GATEWAY,  # of the proxy, while the service is killed or stopped
    httpx.codes.GATEWAY_TIMEOUT,
)
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
"""The id of no image."""


class Clients(ABC):
    """Some clients at once.

    Args:
        ways: The URLs of the images, by the name of the way.
        book: Where they note what is acknowledged.
        chance: Chooses what they do.
    """

    number_of_clients = 8

    def __init__(self, ways: dict[str, str], book: Book, chance: Random) -> None:
        self._ways = list(ways.values())
        self._book = book
        self._chance = chance
        self._readers = Readers(ways, book, chance)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let them work during the block, which ends as soon as one finds a broken promise."""
        stop = asyncio.Event()
        async with self._readers, asyncio.TaskGroup() as clients:
            for _ in range(self.number_of_clients):
                clients.create_task(self._work(stop))
            yield
            stop.set()

    async def finish(self) -> None:
        """Do, undisturbed, what is to be in each run, and what chance may have left out."""
        async with self._readers, self._connected() as client:
            await self._finish(client)

    @abstractmethod
    async def _finish(self, client: httpx.AsyncClient) -> None:
        """Do so; upload an image that can be rendered and one that cannot, for a check to find."""

    @abstractmethod
    async def _act(self, client: httpx.AsyncClient) -> None:
        """Do one thing."""

    @staticmethod
    def _connected() -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=CLIENT_SECONDS, trust_env=False)

    async def _work(self, stop: asyncio.Event) -> None:
        async with self._connected() as client:
            while not stop.is_set():
                try:
                    await self._act(client)
                except httpx.HTTPError:
                    self._book.count["no answer"] += 1
                    await asyncio.sleep(0.05)

    @property
    def _images(self) -> str:
        """The URL of the images on any way."""
        return self._chance.choice(self._ways)

    async def _delete(self, client: httpx.AsyncClient, image_id: str) -> None:
        """Delete an image, and see that nobody is served it after the answer."""
        self._book.begin_to_delete([image_id])
        async with self._readers.reading([image_id]):
            response = await client.delete(f"{self._images}/{image_id}")
        self._book.count[f"delete {response.status_code}"] += 1
        if response.status_code == httpx.codes.NO_CONTENT:
            self._book.has_deleted([image_id])
            await self._readers.require_gone([image_id])
        else:  # 404: of one that the proxy sent twice, because the first was not answered
            require(response.status_code in (*NOT_DONE, httpx.codes.NOT_FOUND), response.text)

    async def _delete_batch(self, client: httpx.AsyncClient, ids: Sequence[str]) -> bool:
        """Delete some images, and one that there is not, and see the same.

        Returns:
            Whether it was acknowledged. If not, the same may be asked again.
        """
        again = {one for one in ids if one in self._book.unsure}
        self._book.begin_to_delete(one for one in ids if one not in again)
        body = {"ids": [*ids, UNKNOWN]}
        async with self._readers.reading(ids):
            response = await client.post(f"{self._images}/batch-delete", json=body)
        self._book.count[f"batch delete {response.status_code}"] += 1
        if response.status_code != httpx.codes.OK:
            require(response.status_code in NOT_DONE, response.text)
            return False
        answer = response.json()
        deleted, failed = answer["deleted"], [one["id"] for one in answer["failed"]]
        require({*deleted, *failed} == {*ids, UNKNOWN}, f"{ids}: {answer}")
        require({*failed} <= {*again, UNKNOWN}, f"{ids}: {answer}")
        self._book.has_deleted(deleted)
        await self._readers.require_gone(deleted)
        return True
