"""Checks of a service that has recovered, against what it has acknowledged."""

import asyncio
import json
from collections.abc import Collection, Iterator
from typing import Any, Final, TypeVar

import httpx

from app.schemas.changes import MOST_DELETED
from testkit.torture.book import Book, require
from testkit.torture.readers import Readers
from testkit.torture.service import Service
from testkit.torture.thumbnails import check_thumbnails, named_files, wait_for_jobs
from testkit.torture.uploads import upload_of

AT_ONCE: Final = 16
"""Images that are asked for concurrently."""
MOST_READ_AGAIN: Final = 500
"""Of thousands of deleted images, which have all been asked for when they were deleted."""


_T = TypeVar("_T")


class Promises:
    """What a service promises.

    Args:
        service: It serves, and no client is at work.
        book: What it has acknowledged; emptied by each check.
        readers: Read what must be gone.
    """

    def __init__(self, service: Service, book: Book, readers: Readers) -> None:
        self._service = service
        self._images = service.ways["directly"]
        self._book = book
        self._readers = readers

    async def check(self, *, undisturbed: bool = False) -> None:
        """Check every promise, and delete all images.

        Args:
            undisturbed: Whether nothing was killed since the last check, so that nothing may be
                left behind.
        """
        async with httpx.AsyncClient(timeout=60) as client:
            await self._check_acknowledged(client)
            await wait_for_jobs(self._service, client)
            images = await self._list_all(client)
            numbers = self._book.stored | self._book.unsure
            for some in _groups(images, AT_ONCE):
                await asyncio.gather(*(self._open(client, image, numbers) for image in some))
            await self._compare(len(images), undisturbed=undisturbed)
            await self._delete_all(client, images)
            self._book.count["images checked"] += len(images)
        self._book.clear()

    async def check_deletes(self) -> None:
        """Delete what is left of images, and check that of none anything is left then."""
        async with httpx.AsyncClient(timeout=60) as client:
            await self._check_acknowledged(client, MOST_READ_AGAIN)
            await self._delete_all(client, await self._list_all(client))
            await wait_for_jobs(self._service, client)
            await self._compare(0, undisturbed=False)
        self._book.clear()

    async def _check_acknowledged(
        self, client: httpx.AsyncClient, most_deleted: int | None = None
    ) -> None:
        for image_id, number in self._book.stored.items():
            response = await client.get(f"{self._images}/{image_id}/file")
            require(response.status_code == httpx.codes.OK, f"{image_id} is lost")
            require(response.content == upload_of(number).stored, f"{image_id} has changed")
        async with self._readers:
            for ids in _groups([*self._book.deleted][:most_deleted], AT_ONCE):
                await self._readers.require_gone(ids)
        for image_id, number in self._book.unsure.items():
            response = await client.get(f"{self._images}/{image_id}/file")
            if response.status_code != httpx.codes.NOT_FOUND:
                require(response.content == upload_of(number).stored, f"{image_id} has changed")

    async def _list_all(self, client: httpx.AsyncClient) -> list[dict[str, Any]]:
        images: list[dict[str, Any]] = []
        url = f"{self._images}?limit=100"
        while url:
            response = await client.get(url)
            images += response.json()["items"]
            url = response.links["next"]["url"] if "next" in response.links else ""
        listed = {image["id"] for image in images}
        require(self._book.stored.keys() <= listed, "an image is not on the list")
        require(not self._book.deleted & listed, "a deleted image is on the list")
        return images

    async def _delete_all(self, client: httpx.AsyncClient, images: list[dict[str, Any]]) -> None:
        for some in _groups(images, MOST_DELETED):
            ids = [image["id"] for image in some]
            answer = await client.post(f"{self._images}/batch-delete", json={"ids": ids})
            require(answer.json()["deleted"] == ids, answer.text)

    async def _open(
        self, client: httpx.AsyncClient, image: dict[str, Any], numbers: dict[str, int]
    ) -> None:
        image_id = image["id"]
        names = self._book.names.get(image_id, {image["filename"]})
        require(image["filename"] in names, f"{image_id} has none of the names {names}")
        content = (await client.get(image["url"])).content
        require(len(content) == image["file_size"], f"{image_id} does not open")
        await check_thumbnails(client, image, numbers.get(image_id), self._book)

    async def _compare(self, listed: int, *, undisturbed: bool) -> None:
        """Repair, and then find rows and files to be the same."""
        fsck, book = self._service.fsck, self._book
        found = json.loads(fsck("--grace", "0", "--json").stdout)
        require(not (undisturbed and found["findings"]), f"something is left behind: {found}")
        number = str(found["sums"]["file-without-row"]["count"])
        repair = fsck("--repair", "--expect", number, "--grace", "0", "--json")
        require(repair.returncode in {0, 1}, repair.stdout + repair.stderr)
        sums = json.loads(repair.stdout)["sums"]
        require(not sums["row-without-file"]["count"], repair.stdout)
        require(not sums["wrong-size"]["count"], repair.stdout)
        stale = sums["stale-thumbnail"]["repaired"]
        book.count["stale thumbnails removed"] += stale
        book.count["leftovers repaired"] += sum(one["repaired"] for one in sums.values()) - stale
        again = fsck("--grace", "0", "--json")
        require(again.returncode == 0, again.stdout + again.stderr)
        require(not json.loads(again.stdout)["findings"], again.stdout)
        require(not self._service.staged(), "parts of uploads are left behind")
        files = self._service.stored()
        named = await named_files(self._service)
        require(files == named, f"files that no row names, or the reverse: {files ^ named}")
        originals = sum("-" not in name for name in files)
        require(originals == listed, f"{originals} files for {listed} images")


def _groups(items: Collection[_T], size: int) -> Iterator[list[_T]]:
    every = list(items)
    return (every[first : first + size] for first in range(0, len(every), size))
