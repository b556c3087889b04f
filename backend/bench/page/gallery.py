"""A service with a gallery of photographs, all of them rendered."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from bench import servers
from bench.host import Host
from bench.page.photographs import photographs
from bench.servers import Server
from bench.wrk import BenchmarkFailed

IMAGES: Final = "/api/v1/images"
_BATCH: Final = 20
_RENDERED: Final = 1800
"""Seconds that rendering all of them may take."""
_DAYS: Final = 40
"""Over which they are spread, the newest at the end of the day before the last."""


@contextmanager
def gallery(folder: Path, count: int) -> Iterator[Server]:
    """Run the service over a copy of a gallery, which is made in the folder if it is not there."""
    whole = folder / f"gallery-{count}"
    if not whole.exists():
        made = folder / f"gallery-{count}-unfinished"
        shutil.rmtree(made, ignore_errors=True)
        with servers.service(made, renders=True, WORKER_PROCESSES="1") as service:
            _fill(service.url, count)
            Host(made).execute(
                """UPDATE images SET created_at = placed.at FROM (
                     SELECT id, now() - interval '1 day' - random() * $1 * interval '1 day' AS at
                     FROM images) AS placed
                   WHERE images.id = placed.id""",
                _DAYS,
            )
        made.rename(whole)
    with TemporaryDirectory(prefix="gallery-", dir=folder) as copy:
        data = Path(copy) / "data"
        subprocess.run(["cp", "-a", whole, data], check=True)  # noqa: S607 - with its owners
        with servers.service(data, renders=True, WORKER_PROCESSES="1") as service:
            yield service


@contextmanager
def empty_gallery(folder: Path, **settings: str) -> Iterator[Server]:
    """Run the service over nothing."""
    with (
        TemporaryDirectory(prefix="empty-", dir=folder) as data,
        servers.service(Path(data) / "data", renders=True, WORKER_PROCESSES="1", **settings) as it,
    ):
        yield it


def _fill(url: str, count: int) -> None:
    """Upload them, and wait until the last one is rendered."""
    with httpx.Client(base_url=url, timeout=servers.TIMEOUT, trust_env=False) as client:
        pending = photographs(count)
        while batch := list(islice(pending, _BATCH)):
            answer = client.post(f"{IMAGES}/batch", files=[("files", file) for file in batch])
            if len(answer.json()["uploaded"]) != len(batch):
                raise BenchmarkFailed(f"A photograph was refused: {answer.text}")
        deadline = time.monotonic() + _RENDERED
        while not all(image["placeholder"] for image in _listed(client)):
            if time.monotonic() > deadline:
                raise BenchmarkFailed(f"{count} photographs were not rendered in {_RENDERED} s.")
            time.sleep(2)


async def delete_all(url: str) -> None:
    """Delete the images of a service, which are few."""
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        for image in (await client.get(IMAGES, params={"limit": 100})).json()["items"]:
            await client.delete(f"{IMAGES}/{image['id']}")


def _listed(client: httpx.Client) -> list[dict[str, Any]]:
    """List all images, newest first."""
    images: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = client.get(IMAGES, params=query).json()
        images += page["items"]
        cursor = page["next_cursor"]
    return images
