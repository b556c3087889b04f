"""Checks of a service that has recovered, against what it has acknowledged."""

import json

import httpx

from testkit.torture.book import Book, require
from testkit.torture.service import Service
from testkit.torture.thumbnails import check_thumbnails, named_files, wait_for_jobs
from testkit.torture.uploads import upload_of


class Promises:
    """What a service promises.

    Args:
        service: It serves, and no client is at work.
        images: The URL of its images.
        book: What it has acknowledged; emptied by each check.
    """

    def __init__(self, service: Service, images: str, book: Book) -> None:
        self._service = service
        self._images = images
        self._book = book

    async def check(self, *, undisturbed: bool = False) -> None:
        """Check every promise, and delete all images.

        Args:
            undisturbed: Whether nothing was killed since the last check, so that nothing may be
                left behind.
        """
        book = self._book
        async with httpx.AsyncClient(timeout=60) as client:
            await self._check_acknowledged(client)
            await wait_for_jobs(self._service)
            listed = await self._open_all_listed(client)
            require(book.stored.keys() <= listed, "an image is not on the list")
            require(not book.deleted & listed, "a deleted image is on the list")
            await self._compare(len(listed), undisturbed=undisturbed)
            book.count["images checked"] += len(listed)
            for image_id in listed:
                await client.delete(f"{self._images}/{image_id}")
        book.clear()

    async def _check_acknowledged(self, client: httpx.AsyncClient) -> None:
        for image_id, number in self._book.stored.items():
            response = await client.get(f"{self._images}/{image_id}/file")
            require(response.status_code == httpx.codes.OK, f"{image_id} is lost")
            require(response.content == upload_of(number).stored, f"{image_id} has changed")
        for image_id in self._book.deleted:
            for address in (image_id, f"{image_id}/file", f"{image_id}/thumbnails/300"):
                response = await client.get(f"{self._images}/{address}")
                require(response.status_code == httpx.codes.NOT_FOUND, f"{image_id} is back")
        for image_id, number in self._book.unsure.items():
            response = await client.get(f"{self._images}/{image_id}/file")
            if response.status_code != httpx.codes.NOT_FOUND:
                require(response.content == upload_of(number).stored, f"{image_id} has changed")

    async def _open_all_listed(self, client: httpx.AsyncClient) -> set[str]:
        numbers = self._book.stored | self._book.unsure
        listed: set[str] = set()
        url = f"{self._images}?limit=100"
        while url:
            response = await client.get(url)
            for image in response.json()["items"]:
                listed.add(image["id"])
                names = self._book.names.get(image["id"], {image["filename"]})
                require(image["filename"] in names, f"{image['id']} has none of the names {names}")
                content = (await client.get(image["url"])).content
                require(len(content) == image["file_size"], f"{image['id']} does not open")
                await check_thumbnails(client, image, numbers.get(image["id"]), self._book)
            url = response.links["next"]["url"] if "next" in response.links else ""
        return listed

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
        images = self._service.data / "images"
        files = {path.name for path in images.glob("*/*") if path.is_file()}
        named = await named_files(self._service)
        require(files == named, f"files that no row names, or the reverse: {files ^ named}")
        originals = sum("-" not in name for name in files)
        require(originals == listed, f"{originals} files for {listed} images")
