"""Clients that fill every cache with small images, and delete them: one, or many at once."""

import asyncio
from contextlib import suppress
from typing import Final

import httpx

from app.schemas.changes import MOST_DELETED
from testkit.torture.book import require
from testkit.torture.clients import NOT_DONE, Clients
from testkit.torture.readers import PAUSE_SECONDS
from testkit.torture.uploads import upload_of

GROUPS: Final = (1, 1, 1, 1, 5, 20, *[MOST_DELETED - 1] * 3)
"""Images that are deleted together; a batch also names one that there is not."""
BATCH: Final = 20
"""Images of one upload."""


class Deleters(Clients):
    """Clients that do little but delete; many, for each answer to a delete waits for leases."""

    number_of_clients = 24
    _number = 0

    async def _act(self, client: httpx.AsyncClient) -> None:
        size = self._chance.choice(GROUPS)
        ids: list[str] = []
        while len(ids) < size:
            ids += await self._upload(client, min(BATCH, size - len(ids)))
        await self._readers.read(ids)
        if size == 1:
            await self._delete(client, ids[0])
        else:
            while not await self._try_to_delete(client, ids):
                pass  # it has waited

    async def _finish(self, client: httpx.AsyncClient) -> None:
        await self._upload(client, BATCH)

    async def _try_to_delete(self, client: httpx.AsyncClient, ids: list[str]) -> bool:
        with suppress(httpx.HTTPError):
            if await self._delete_batch(client, ids):
                return True
        await asyncio.sleep(PAUSE_SECONDS)
        return False

    async def _upload(self, client: httpx.AsyncClient, count: int) -> list[str]:
        """Upload images; return the ids of those that are stored, in the order in which they came.

        The file's name is the number that its bytes come from.
        """
        numbers = range(self._number - count, self._number)
        self._number -= count
        files = [("files", (f"{one}.jpg", upload_of(one).content)) for one in numbers]
        response = await client.post(f"{self._images}/batch", files=files)
        self._book.count[f"batch upload {response.status_code}"] += 1
        if response.status_code not in (httpx.codes.CREATED, httpx.codes.MULTI_STATUS):
            require(response.status_code in NOT_DONE, response.text)
            return []
        images = response.json()["uploaded"]
        for image in images:
            self._book.stored[image["id"]] = int(image["filename"].partition(".")[0])
            self._book.names[image["id"]] = {image["filename"]}
        return [image["id"] for image in images]
