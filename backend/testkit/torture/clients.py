"""Clients that upload, look at, rename and delete images, whatever happens to the service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Final

import httpx

from testkit.torture.book import Book, require
from testkit.torture.thumbnails import SIZES, sides_of
from testkit.torture.uploads import upload_of

CLIENTS: Final = 8
CLIENT_SECONDS: Final = 60.0
"""How long a client waits for an answer: longer than the service takes to give one."""
NOT_DONE: Final = (
    httpx.codes.SERVICE_UNAVAILABLE,
    httpx.codes.REQUEST_TIMEOUT,  # of a process that was stopped, and takes its client for slow
)
NOT_RENAMED: Final = (*NOT_DONE, httpx.codes.NOT_FOUND)  # another client deletes it
MOST_AT_ONCE: Final = 5
"""Images of a batch delete."""
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
NOT_SHOWN: Final = (
    httpx.codes.NOT_FOUND,  # another client deletes it
    httpx.codes.UNPROCESSABLE_ENTITY,
    httpx.codes.SERVICE_UNAVAILABLE,
)


class Clients:
    """Some clients at once.

    Args:
        images: The URL of the images.
        book: Where they note what is acknowledged.
        chance: Chooses what they do.
    """

    def __init__(self, images: str, book: Book, chance: Random) -> None:
        self._images = images
        self._book = book
        self._chance = chance
        self._number = 0

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Let them work during the block."""
        stop = asyncio.Event()
        clients = [asyncio.create_task(self._work(stop)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*clients)

    async def _work(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=CLIENT_SECONDS) as client:
            while not stop.is_set():
                number = self._chance.random() if self._book.stored else 1.0
                try:
                    if number < 0.3:
                        await self._delete(client)
                    elif number < 0.35:
                        await self._delete_batch(client)
                    elif number < 0.45:
                        await self._look(client)
                    elif number < 0.55:
                        await self._rename(client)
                    else:
                        await self._upload(client)
                except httpx.HTTPError:
                    self._book.count["no answer"] += 1
                    await asyncio.sleep(0.05)

    async def _upload(self, client: httpx.AsyncClient) -> None:
        self._number += 1
        number = self._number
        upload = upload_of(number)
        data = {"strip_metadata": "true"} if upload.strip_metadata else None  # before the file
        files = {"file": upload.content}
        response = await client.post(f"{self._images}/upload", data=data, files=files)
        self._book.count[f"upload {response.status_code}"] += 1
        if response.status_code == httpx.codes.CREATED:
            image = response.json()
            self._book.stored[image["id"]] = number
            self._book.names[image["id"]] = {image["filename"]}
        elif response.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            require(upload.stored is None, response.text)
        else:
            require(response.status_code in NOT_DONE, response.text)

    async def _look(self, client: httpx.AsyncClient) -> None:
        """Ask for a thumbnail, which may not be rendered yet."""
        image_id = self._chance.choice(list(self._book.stored))
        size = self._chance.choice(SIZES)
        response = await client.get(f"{self._images}/{image_id}/thumbnails/{size}")
        self._book.count[f"thumbnail {response.status_code}"] += 1
        if response.status_code == httpx.codes.OK:
            require(max(sides_of(response.content)) <= size, f"{image_id} has a wrong thumbnail")
        else:
            require(response.status_code in NOT_SHOWN, response.text)

    async def _delete(self, client: httpx.AsyncClient) -> None:
        image_id = self._chance.choice(list(self._book.stored))
        self._book.unsure[image_id] = self._book.stored.pop(image_id)
        response = await client.delete(f"{self._images}/{image_id}")
        self._book.count[f"delete {response.status_code}"] += 1
        if response.status_code == httpx.codes.NO_CONTENT:
            del self._book.unsure[image_id]
            self._book.deleted.add(image_id)
        else:
            require(response.status_code == httpx.codes.SERVICE_UNAVAILABLE, response.text)

    async def _delete_batch(self, client: httpx.AsyncClient) -> None:
        """Delete some images, and one that there is not."""
        stored = list(self._book.stored)
        ids = self._chance.sample(stored, min(len(stored), MOST_AT_ONCE))
        for image_id in ids:
            self._book.unsure[image_id] = self._book.stored.pop(image_id)
        body = {"ids": [*ids, UNKNOWN]}
        response = await client.post(f"{self._images}/batch-delete", json=body)
        self._book.count[f"batch delete {response.status_code}"] += 1
        if response.status_code == httpx.codes.OK:
            answer = response.json()
            require(answer["deleted"] == ids, f"{ids}: {answer}")
            require([one["id"] for one in answer["failed"]] == [UNKNOWN], f"{answer}")
            for image_id in ids:
                del self._book.unsure[image_id]
            self._book.deleted.update(ids)
        else:
            require(response.status_code in NOT_DONE, response.text)

    async def _rename(self, client: httpx.AsyncClient) -> None:
        """Give an image another name; one client at a time, so that the last answer counts."""
        image_id = self._chance.choice(list(self._book.stored))
        names = self._book.names.pop(image_id, None)
        if names is None:
            return
        self._number += 1
        name = f"renamed {self._number}.jpg"
        names.add(name)
        try:
            url = f"{self._images}/{image_id}"
            response = await client.patch(url, json={"filename": name})
            self._book.count[f"rename {response.status_code}"] += 1
            if response.status_code == httpx.codes.OK:
                require(response.json()["filename"] == name, response.text)
                names = {name}
            else:
                require(response.status_code in NOT_RENAMED, response.text)
        finally:
            self._book.names[image_id] = names
