"""Clients that do all that people do with images of all kinds."""

from typing import Final

import httpx

from testkit.torture.book import require
from testkit.torture.clients import NOT_DONE, Clients
from testkit.torture.thumbnails import SIZES, sides_of
from testkit.torture.uploads import upload_of

NOT_RENAMED: Final = (*NOT_DONE, httpx.codes.NOT_FOUND)  # another client deletes it
MOST_AT_ONCE: Final = 5
"""Images of a batch delete."""
NOT_SHOWN: Final = (
    *NOT_DONE,
    httpx.codes.NOT_FOUND,  # another client deletes it
    httpx.codes.UNPROCESSABLE_ENTITY,
)


class Users(Clients):
    """Clients that upload, look at, rename and delete."""

    _number = 0

    async def _act(self, client: httpx.AsyncClient) -> None:
        stored = list(self._book.stored)
        number = self._chance.random() if stored else 1.0
        if number < 0.3:
            await self._delete(client, self._chance.choice(stored))
        elif number < 0.35:
            ids = self._chance.sample(stored, min(len(stored), MOST_AT_ONCE))
            await self._delete_batch(client, ids)
        elif number < 0.45:
            await self._look(client, self._chance.choice(stored))
        elif number < 0.55:
            await self._rename(client, self._chance.choice(stored))
        else:
            await self._upload(client)

    async def _finish(self, client: httpx.AsyncClient) -> None:
        for can_be_rendered in (True, False) * 2:
            while True:
                upload = upload_of(self._number + 1)
                if upload.can_be_rendered is can_be_rendered and upload.stored is not None:
                    break
                self._number += 1
            await self._upload(client)
        *_, first, second, third, _ = self._book.stored
        await self._delete(client, first)
        await self._delete_batch(client, [second])
        await self._rename(client, third)

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

    async def _look(self, client: httpx.AsyncClient, image_id: str) -> None:
        """Ask for a thumbnail, which may not be rendered yet."""
        size = self._chance.choice(SIZES)
        response = await client.get(f"{self._images}/{image_id}/thumbnails/{size}")
        self._book.count[f"thumbnail {response.status_code}"] += 1
        if response.status_code == httpx.codes.OK:
            require(max(sides_of(response.content)) <= size, f"{image_id} has a wrong thumbnail")
        else:
            require(response.status_code in NOT_SHOWN, response.text)

    async def _rename(self, client: httpx.AsyncClient, image_id: str) -> None:
        """Give an image another name; one client at a time, so that the last answer counts."""
        names = self._book.names.pop(image_id, None)
        if names is None:
            return
        self._number += 1
        name = f"renamed {self._number}.jpg"
        names.add(name)
        try:
            url = f"{self._images}/{image_id}"
            async with self._readers.reading([image_id]):
                response = await client.patch(url, json={"filename": name})
            self._book.count[f"rename {response.status_code}"] += 1
            if response.status_code == httpx.codes.OK:
                require(response.json()["filename"] == name, response.text)
                names = {name}
                await self._readers.require_name(image_id, name)
            else:
                require(response.status_code in NOT_RENAMED, response.text)
        finally:
            self._book.names[image_id] = names
