"""Checks that every image has its thumbnails, or a reason why not, and that no job is lost."""

import asyncio
import time
from collections import Counter
from io import BytesIO
from typing import Any, Final

import httpx
from PIL import Image
from tqdm import tqdm

from app.domain.thumbnails import fit, thumbnail_keys
from testkit.torture.book import Book, require
from testkit.torture.service import Service
from testkit.torture.uploads import upload_of

SIZES: Final = (150, 300, 800)
WAIT_SECONDS: Final = 600.0
"""For all jobs to be done."""
REPORT_SECONDS: Final = 10.0
GIVEN_UP: Final = "The image could not be rendered; the service's log says why."

_LOST: Final = """
    SELECT id FROM images WHERE rendered_at IS NULL AND render_error IS NULL AND NOT EXISTS
        (SELECT FROM procrastinate_jobs
         WHERE queueing_lock = 'render:' || images.id AND status <> 'failed')
"""
_POSTPONED: Final = """
    SELECT args->>'subject', reason, EXISTS (SELECT FROM images WHERE id::text = args->>'subject')
    FROM procrastinate_jobs
    WHERE task_name = 'render' AND status = 'todo' AND scheduled_at > now() + interval '10 seconds'
"""
"""After an attempt that failed: for a minute, 6 minutes, 36 minutes, an hour."""
_STATES: Final = """
    SELECT status::text, count(*) FROM procrastinate_jobs WHERE status <> 'failed' GROUP BY status
"""
_RENDITIONS: Final = "SELECT storage_key, thumbnail_sizes, rendered_at FROM images"


async def require_jobs(service: Service) -> None:
    """Check that every image has been rendered, has a reason or has a job."""
    lost = await service.select(_LOST)
    require(not lost, f"the jobs of {lost} are lost")


async def wait_for_jobs(service: Service, client: httpx.AsyncClient) -> None:
    """Wait until every job is done or set aside, and none is running.

    Those that are postponed are asked for, as people ask for thumbnails, and must be due soon then;
    those of images that were deleted since have nothing to do, and are not waited for.
    """
    begin, reported = time.monotonic(), 0.0
    while True:
        await require_jobs(service)
        postponed = await service.select(_POSTPONED)
        for image_id, _, is_there in postponed:
            if is_there:
                await client.get(f"{service.ways['directly']}/{image_id}/thumbnails/{SIZES[0]}")
        states = Counter(dict(await service.select(_STATES)))
        states["todo"] -= sum(not is_there for *_, is_there in postponed)
        if not +states:
            return
        waited = time.monotonic() - begin
        require(waited < WAIT_SECONDS, f"jobs are not done: {states}, postponed: {postponed}")
        if waited - reported >= REPORT_SECONDS:
            reported = waited
            tqdm.write(f"waiting for jobs: {dict(states)}, postponed: {postponed}")
        await asyncio.sleep(0.5)


async def check_thumbnails(
    client: httpx.AsyncClient, image: dict[str, Any], number: int | None, book: Book
) -> None:
    """Check that an image has each thumbnail, or a reason why there is none.

    Args:
        client: Asks for them.
        image: As it is listed.
        number: What its bytes come from, if that is known.
        book: Counts them.
    """
    url = image["url"].removesuffix("/file")
    answers = [await client.get(f"{url}/thumbnails/{size}") for size in SIZES]
    statuses = {answer.status_code for answer in answers}
    require(len(statuses) == 1, f"{image['id']} has some thumbnails: {statuses}")
    can_be_rendered = None if number is None else upload_of(number).can_be_rendered
    if statuses == {httpx.codes.UNPROCESSABLE_ENTITY}:
        why = answers[0].json()["detail"]
        is_given_up = why == GIVEN_UP
        require(is_given_up or not can_be_rendered, f"{image['id']} is said to be broken: {why}")
        book.count["images given up" if is_given_up else "images that are broken"] += 1
        return
    require(statuses == {httpx.codes.OK}, f"{image['id']} has no thumbnail: {answers[0].text}")
    require(can_be_rendered is not False, f"{image['id']} has thumbnails of noise")
    for size, answer in zip(SIZES, answers, strict=True):
        expected = fit(image["width"], image["height"], size)
        require(sides_of(answer.content) == expected, f"{image['id']} has a wrong thumbnail")
    book.count["images with thumbnails"] += 1


async def named_files(service: Service) -> set[str]:
    """Return the names of all files that rows name."""
    return {
        name
        for key, sizes, rendered_at in await service.select(_RENDITIONS)
        for name in (key, *thumbnail_keys(key, sizes, rendered_at))
    }


def sides_of(thumbnail: bytes) -> tuple[int, int]:
    """Decode a WebP image, and return its width and height."""
    with Image.open(BytesIO(thumbnail), formats=["WEBP"]) as image:
        image.load()
        return image.size
